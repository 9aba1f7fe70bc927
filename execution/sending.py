"""Rendering and sending, many at once and outside every transaction (DESIGN section 6).

The threads here know no database. Each opens its own channel sessions and keeps them, so that a connection serves many
messages; all are closed when the batch is done.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from queue import Empty, SimpleQueue
from time import monotonic, thread_time
from types import TracebackType
from typing import Any, Self

from django.utils import timezone
from msgspec import Struct

from channels.contract import (
    OutgoingMessage,
    PermanentSendError,
    Receipt,
    SendError,
    Session,
    TransientSendError,
)
from channels.registry import channel_for
from execution.expiry import EXPIRED, dropped, is_past
from execution.pace import HESITATING_SECONDS, SILENT_SECONDS, Pace
from execution.work import Send
from templates.rendering import RenderError

logger = logging.getLogger(__name__)

# A thread wakes up the batch for its answers no sooner than so long after the last time: each time costs a switch.
WAKE_SECONDS = 0.002
# Once one answer is in, others are waited for this long, so that they are recorded in one transaction.
GATHER_SECONDS = 0.02


class Answer(Struct, frozen=True):
    """What came of one send: a receipt or an error, and the variables that the templates missed.

    Neither when it has not begun, because the lease was over.
    """

    send: Send
    finished_at: datetime
    receipt: Receipt | None = None
    error: SendError | None = None
    missing_variables: tuple[str, ...] = ()
    has_begun: bool = True


class Done(Struct, frozen=True):
    """An answer on its way back to the batch, and what the send took, by the clock and of the processor."""

    answer: Answer
    seconds: float = 0.0
    computing_seconds: float = 0.0


class Sender:
    """Sends on up to `threads` threads for each channel, for one batch.

    Each channel has threads and room of its own, so that a provider which takes its time holds up no other's messages.
    A channel has room for so many messages under way as keep its threads busy, and no more, since each of them is in
    doubt when the worker dies: more room while its provider is fast, more threads while it is slow (see `pace`).

    No send begins after `send_until`, by the monotonic clock, which runs on while a process is frozen: a worker that
    wakes up when its lease is over must not send what another worker has taken up.
    """

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._pools: dict[str, _Pool] = {}
        self._done = _Mailbox()
        self.in_flight = 0
        self.send_until = monotonic()

    @property
    def is_slow(self) -> bool:
        """Whether a channel's provider takes its time."""
        return any(pool.pace.is_slow for pool in self._pools.values())

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that something was given for."""
        return tuple(self._pools)

    def room(self, channel: str) -> int:
        """Return how many more messages of the channel may be given now."""
        pool = self._pools.get(channel)
        return pool.pace.room - pool.in_flight if pool else self._pace(channel).room

    def is_time_for_more(self, channel: str) -> bool:
        """Say whether to give the channel more."""
        pool = self._pools.get(channel)
        return pool is None or pool.pace.is_time_for_more(in_flight=pool.in_flight)

    def submit(self, sends: Iterable[Send]) -> None:
        """Start sending; the caller has stored the intents."""
        for send in sends:
            self.in_flight += 1
            channel = send.node.type
            pool = self._pools.get(channel)
            if pool is None:
                pool = self._pools[channel] = _Pool(self, self._pace(channel), self._done)
            pool.put(send)
        for pool in self._pools.values():
            pool.have_threads()

    def collect(self, *, timeout: float) -> list[Answer]:
        """Wait up to `timeout` seconds for an answer and return it with those that come right behind it."""
        answers: list[Answer] = []
        until = monotonic() + timeout
        while True:
            found = self._done.take_all()
            if found and not answers:
                until = monotonic() + GATHER_SECONDS
            for done in found:
                answers.append(done.answer)
                self._pools[done.answer.send.node.type].take(done)
            wait = until - monotonic()
            if len(answers) >= self.in_flight or wait <= 0:
                break
            # Not every answer wakes up: those of a thread whose next message takes long are found by looking.
            if not self._done.wait(min(wait, self._patience)) and not answers:
                self._look()
        self.in_flight -= len(answers)
        self._look()
        return answers

    def take_back(self) -> list[Send]:
        """Return what no thread has begun to send; it will not be sent."""
        sends = [send for pool in self._pools.values() for send in pool.take_back()]
        self.in_flight -= len(sends)
        return sends

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # Nobody is left to record it: the sweep finds it in doubt, and has it sent again.
            self.take_back()
        for pool in self._pools.values():
            pool.end()
        if kind is None:
            for pool in self._pools.values():
                pool.join()

    @property
    def _patience(self) -> float:
        is_trying = any(pool.in_flight and pool.pace.is_trying_one for pool in self._pools.values())
        return HESITATING_SECONDS if is_trying else SILENT_SECONDS

    def _pace(self, channel: str) -> Pace:
        return Pace(max(1, min(self._threads, channel_for(channel).most_sessions)))

    def _look(self) -> None:
        now = monotonic()
        for pool in self._pools.values():
            pool.look(now)


class _Pool:
    """The threads of one channel, each with a session of its own; the batch's thread alone calls its methods."""

    def __init__(self, sender: Sender, pace: Pace, done: "_Mailbox") -> None:
        self.pace = pace
        self.in_flight = 0
        self._sender = sender
        self._done = done
        self._threads: list[threading.Thread] = []
        self._to_send: SimpleQueue[tuple[Send, dict[str, Any]] | None] = SimpleQueue()
        self._has_news = False

    def put(self, send: Send) -> None:
        """Line up one message."""
        if not self.in_flight:
            self.pace.heard_at = monotonic()
        self.in_flight += 1
        self._to_send.put((send, send.run.names()))

    def take(self, done: Done) -> None:
        """Take in that a message has been answered."""
        self.in_flight -= 1
        self._has_news = True
        if done.answer.has_begun:
            self.pace.hear(done.seconds, computing_seconds=done.computing_seconds, now=monotonic())

    def look(self, now: float) -> None:
        """Have as many threads as pay now."""
        if self.in_flight or self._has_news:
            self._has_news = False
            self.pace.look(in_flight=self.in_flight, now=now)
            self.have_threads()

    def have_threads(self) -> None:
        """Start what is missing; none has nothing to do."""
        for _ in range(min(self.pace.threads, self.in_flight) - len(self._threads)):
            thread = threading.Thread(target=self._work, name="send", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take_back(self) -> list[Send]:
        """Return what no thread has begun to send; it will not be sent."""
        sends: list[Send] = []
        while True:
            try:
                job = self._to_send.get_nowait()
            except Empty:
                break
            if job is not None:
                sends.append(job[0])
        self.in_flight -= len(sends)
        return sends

    def end(self) -> None:
        """Have each thread end when nothing is left to send."""
        for _ in self._threads:
            self._to_send.put(None)

    def join(self) -> None:
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        sessions: dict[str, Session] = {}
        woken_at = 0.0
        try:
            while (job := self._next()) is not None:
                began_at, computed = monotonic(), thread_time()
                if began_at >= self._sender.send_until:
                    self._done.put(Done(Answer(job[0], timezone.now(), has_begun=False)))
                    continue
                answer = _answer(*job, sessions)
                ended_at = monotonic()
                self._done.put(Done(answer, ended_at - began_at, thread_time() - computed))
                if ended_at - woken_at >= WAKE_SECONDS:
                    self._done.wake()
                    woken_at = ended_at
        finally:
            for session in sessions.values():
                session.close()

    def _next(self) -> tuple[Send, dict[str, Any]] | None:
        """Return what to send next; the batch is woken up when there is nothing."""
        try:
            return self._to_send.get_nowait()
        except Empty:
            self._done.wake()
            return self._to_send.get()


class _Mailbox:
    """Answers on their way back to the batch: there at once, while whoever waits for them is woken up now and then."""

    def __init__(self) -> None:
        self._answers: deque[Done] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def put(self, done: Done) -> None:
        """Leave an answer."""
        self._answers.append(done)

    def wake(self) -> None:
        """Wake up who waits, if there is anything."""
        if self._answers:
            self._wakes.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait to be woken up; say whether that happened."""
        try:
            self._wakes.get(timeout=seconds)
        except Empty:
            return False
        return True

    def take_all(self) -> list[Done]:
        """Return what is there."""
        return [self._answers.popleft() for _ in range(len(self._answers))]


def _answer(send: Send, names: dict[str, Any], sessions: dict[str, Session]) -> Answer:
    missing: list[str] = []
    receipt: Receipt | None = None
    error: SendError | None = None
    is_handed_over = False
    try:
        _check_time(send)
        fields = _render(send, names, missing)
        session = _session(send.node.type, sessions)
        is_handed_over = True
        receipt = session.send(OutgoingMessage(_message_key(send), fields))
    except SendError as raised:
        error = raised
    except Exception as raised:  # a bug in one channel must not take the other messages along
        logger.exception("Sending %s failed in a way its channel does not know", _message_key(send))
        error = TransientSendError(
            provider=send.step.provider, code="internal_error", message=repr(raised), is_in_doubt=is_handed_over
        )
    return Answer(send, timezone.now(), receipt, error, tuple(dict.fromkeys(missing)))


def _check_time(send: Send) -> None:
    """Raise PermanentSendError for a message whose time was over before a thread came to it."""
    if send.send_by is not None and is_past(send.send_by, timezone.now()):
        raise PermanentSendError(provider=send.step.provider, code=EXPIRED, message=dropped(send.send_by))


def _render(send: Send, names: dict[str, Any], missing: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, template in send.node.templates.items():
        try:
            rendered = template.render(names, strict=send.run.workflow.strict_variables)
        except RenderError as error:
            raise PermanentSendError(
                provider=send.step.provider, code=error.code, message=f"{name}: {error.message}"
            ) from None
        fields[name] = rendered.text
        missing.extend(rendered.missing_variables)
    return fields


def _session(node_type: str, sessions: dict[str, Session]) -> Session:
    session = sessions.get(node_type)
    if session is None:
        session = sessions[node_type] = channel_for(node_type).open()
    return session


def _message_key(send: Send) -> str:
    return f"{send.run.id}.{send.node.id}"
