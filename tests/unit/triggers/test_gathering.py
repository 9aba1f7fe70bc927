"""Work of one moment, done together."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.processes import wait_until
from triggers.gathering import Gathering


class Doing:
    """Notes what it is asked to do, and waits in its first call until it is let."""

    def __init__(self, refuse: Callable[[str], Exception | None] = lambda _: None, *, most: int = 100) -> None:
        self.calls: list[list[str]] = []
        self.told: list[list[str]] = []
        self.may_go_on = threading.Event()
        self.refuse = refuse
        self.gathering = Gathering(
            self.do,
            then=lambda items: self.told.append(list(items)),
            is_everyones=lambda error: isinstance(error, OSError),
            most=most,
        )

    def do(self, items: Sequence[str]) -> list[str]:
        self.calls.append(list(items))
        if len(self.calls) == 1:
            assert self.may_go_on.wait(20)
        for item in items:
            if error := self.refuse(item):
                raise error
        return [item.upper() for item in items]

    def all_at_once(self, names: str) -> dict[str, str | Exception]:
        """Join with the first name, then with all others while that is being done; return what each got."""

        def join(name: str) -> str | Exception:
            try:
                return self.gathering.join(name)
            except (ValueError, OSError) as error:  # what it is, is what the test asks
                return error

        with ThreadPoolExecutor(len(names)) as pool:
            answers = {names[0]: pool.submit(join, names[0])}
            wait_until(lambda: bool(self.calls), seconds=20, what="the first leads")
            answers |= {name: pool.submit(join, name) for name in names[1:]}
            waiting = self.gathering._queue  # nothing else tells who waits
            wait_until(lambda: len(waiting) == len(names) - 1, seconds=20, what="the others wait")
            self.may_go_on.set()
            return {name: answer.result(20) for name, answer in answers.items()}


def test_one_alone_is_done_at_once() -> None:
    doing = Doing()
    doing.may_go_on.set()
    assert [doing.gathering.join(name) for name in "ab"] == ["A", "B"]
    assert doing.calls == doing.told == [["a"], ["b"]]


def test_who_comes_meanwhile_is_done_together_and_gets_its_own_answer() -> None:
    doing = Doing()
    assert doing.all_at_once("abcde") == {name: name.upper() for name in "abcde"}
    assert [sorted(call) for call in doing.calls] == [["a"], ["b", "c", "d", "e"]]
    assert [sorted(told) for told in doing.told] == [["a"], ["b", "c", "d", "e"]]


def test_no_more_than_so_many_are_done_at_a_time_and_none_is_forgotten() -> None:
    doing = Doing(most=2)
    assert doing.all_at_once("abcdef") == {name: name.upper() for name in "abcdef"}
    assert [len(call) for call in doing.calls] == [1, 2, 2, 1]


def test_a_bad_item_fails_alone() -> None:
    doing = Doing(lambda name: ValueError(name) if name == "c" else None)
    answers = doing.all_at_once("abcd")
    assert repr(answers.pop("c")) == "ValueError('c')"
    assert answers == {"a": "A", "b": "B", "d": "D"}
    assert sorted(map(len, doing.calls)) == [1, 1, 1, 1, 3]
    assert sorted(map(sorted, doing.told)) == [["a"], ["b"], ["d"]]


def test_an_error_of_all_is_told_to_all_and_nothing_is_tried_again() -> None:
    doing = Doing(lambda name: ConnectionError("away") if name != "a" else None)
    answers = doing.all_at_once("abcd")
    assert answers.pop("a") == "A"
    assert [(type(error), str(error)) for error in answers.values()] == [(ConnectionError, "away")] * 3
    # Each has one of its own: an exception that several threads raise gathers the traces of all of them.
    assert len(set(map(id, answers.values()))) == 3
    assert len(doing.calls) == 2


@pytest.mark.parametrize("error", [ValueError, ConnectionError])
def test_after_an_error_of_one_alone_the_next_is_done(error: type[Exception]) -> None:
    doing = Doing(lambda name: error() if name == "a" else None)
    doing.may_go_on.set()
    with pytest.raises(error):
        doing.gathering.join("a")
    assert doing.gathering.join("b") == "B"
