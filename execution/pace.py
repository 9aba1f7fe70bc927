"""How many threads and how much room one channel gets, from what its sends are seen to take; pure.

A thread that computes keeps the others of its process from computing, so a provider that never makes wait is served
best by one. One that waits costs next to nothing: a provider that takes its time gets as many as it takes to keep one
of them computing.
"""

from dataclasses import dataclass, field

# Of what computes only, one thread gets done more than several that take turns. What waits gets a few at once.
FEW_THREADS = 4
WAITING_SECONDS = 0.001
# Without an answer for so long, a provider counts as one that makes wait.
HESITATING_SECONDS = 0.005
ROOM_PER_THREAD = 4
FIRST_ROOM = 128
MOST_ROOM = 512
# On a slow channel more room brings nothing but doubts: what the threads have, and as much again that waits for them.
SLOW_ROOM_PER_THREAD = 2
# A send that takes so long is waiting for its provider, not for its turn to compute.
SLOW_SECONDS = 0.01
SILENT_SECONDS = 0.1
# Threads are added while a send takes this many times what all of them would need to compute one each.
WORTH_IT = 1.5
# What the latest send weighs less with each one that follows: about twenty count.
FADING = 0.95


@dataclass(slots=True)
class Pace:
    """Threads and room of one channel, `limit` threads at most; all times by one monotonic clock, in seconds."""

    limit: int
    threads: int = field(init=False)
    room: int = field(init=False)
    is_slow: bool = False
    heard_at: float = 0.0
    _sends: float = 0.0
    _seconds: float = 0.0
    _computing_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.threads = 1
        self.room = self._first_room

    def hear(self, seconds: float, *, computing_seconds: float, now: float) -> None:
        """Take in how long one send took, and how much of that it computed."""
        self.heard_at = now
        self._sends = FADING * self._sends + 1
        self._seconds = FADING * self._seconds + seconds
        self._computing_seconds = FADING * self._computing_seconds + computing_seconds

    def look(self, *, in_flight: int, now: float) -> None:
        """Set threads and room anew, when answers have come or none for a while."""
        is_hesitating = in_flight > 0 and now - self.heard_at >= HESITATING_SECONDS
        if is_hesitating or self._seconds > WAITING_SECONDS * self._sends:
            self.threads = max(self.threads, self._few)
        is_silent = in_flight > 0 and now - self.heard_at >= SILENT_SECONDS
        if is_silent:
            self.is_slow = True
            self.heard_at = now
        elif self._sends:
            self.is_slow = self._seconds >= SLOW_SECONDS * self._sends
        if self.is_slow:
            if in_flight > self.threads and (is_silent or self._is_more_worth_it):
                self.threads = min(2 * self.threads, self.limit)
            self.room = max(SLOW_ROOM_PER_THREAD * self.threads, self._first_room)
        else:
            self.room = self._first_room if in_flight else min(2 * self.room, max(MOST_ROOM, self._first_room))

    def is_time_for_more(self, *, in_flight: int) -> bool:
        """Say whether to give more: not one by one, so that intents are written many at once.

        A slow channel gets it before its threads run out of messages, a fast one when half of its room is empty.
        """
        return 4 * in_flight <= 3 * self.room if self.is_slow else 2 * in_flight <= self.room

    @property
    def is_trying_one(self) -> bool:
        """Whether one thread is at work until it is known whether a few are better."""
        return self.threads < self._few

    @property
    def _few(self) -> int:
        return min(FEW_THREADS, self.limit)

    @property
    def _is_more_worth_it(self) -> bool:
        return self._seconds > WORTH_IT * self.threads * self._computing_seconds

    @property
    def _first_room(self) -> int:
        return min(ROOM_PER_THREAD * self.limit, FIRST_ROOM)
