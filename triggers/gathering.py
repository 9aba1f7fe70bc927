"""Work of one moment, done together: whoever comes while it is done by somebody waits, and is done with the next.

There is no thread of its own and nobody waits for company: the first to come leads at once, for those who have come by
then, and hands the lead to one of those who came meanwhile. The busier it gets, the more are done together.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class _Place(Generic[T, R]):
    """One caller's place in the queue; the gate opens when there is an answer, or the lead to take."""

    __slots__ = ("answer", "error", "gate", "item", "leads")

    def __init__(self, item: T) -> None:
        self.item = item
        self.answer: R | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.gate = threading.Lock()
        self.gate.acquire()


class Gathering(Generic[T, R]):
    """Calls `do` with up to `most` items of different threads at a time, one call after the other.

    `do` returns an answer for each item, all or nothing. An error that `is_everyones` is raised to all; for any other,
    each caller has `do` done for its own item alone, so that one bad item harms no other. `then` is called with the
    items when all have their answers, by the one who led.
    """

    def __init__(
        self,
        do: Callable[[Sequence[T]], Sequence[R]],
        *,
        then: Callable[[Sequence[T]], None],
        is_everyones: Callable[[BaseException], bool],
        most: int = 100,
    ) -> None:
        self._do = do
        self._then = then
        self._is_everyones = is_everyones
        self._most = most
        self._queue: list[_Place[T, R]] = []
        self._is_led = False
        self._lock = threading.Lock()

    def join(self, item: T) -> R:
        """Have the item done with those of other threads, and return its answer. Raises what `do` raises."""
        place: _Place[T, R] = _Place(item)
        with self._lock:
            self._queue.append(place)
            place.leads = not self._is_led
            self._is_led = True
        if not place.leads:
            place.gate.acquire()
        if place.leads:
            return self._lead(place)
        if place.error is None:
            return place.answer  # type: ignore[return-value]  # `do` answered
        if self._is_everyones(place.error):
            raise type(place.error)(*place.error.args) from place.error
        return self._alone(item)

    def _lead(self, leader: "_Place[T, R]") -> R:
        with self._lock:
            places, self._queue = self._queue[: self._most], self._queue[self._most :]
        others = [place for place in places if place is not leader]
        items = [place.item for place in places]
        try:
            answers = self._do(items)
            for place, answer in zip(places, answers, strict=True):
                place.answer = answer
        except BaseException as error:
            self._let_go(others, error)
            if others and isinstance(error, Exception) and not self._is_everyones(error):
                return self._alone(leader.item)
            raise
        self._let_go(others)
        self._then(items)
        return leader.answer  # type: ignore[return-value]  # `do` answered

    def _let_go(self, others: "list[_Place[T, R]]", error: BaseException | None = None) -> None:
        """Hand the lead on, and tell the others."""
        with self._lock:
            successor = self._queue[0] if self._queue else None
            if successor is None:
                self._is_led = False
            else:
                successor.leads = True
        if successor is not None:
            successor.gate.release()
        for place in others:
            place.error = error
            place.gate.release()

    def _alone(self, item: T) -> R:
        (answer,) = self._do([item])
        self._then([item])
        return answer
