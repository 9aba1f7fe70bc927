"""The tables of legal moves, pair by pair."""

from collections.abc import Callable
from itertools import product

import pytest

from execution.states import IllegalMove, StepStatus, check_step_move, check_trigger_move
from triggers.states import FINISHED, UNDER_WAY, TriggerStatus

TRIGGER_MOVES = {
    ("enqueued", "processing"),
    ("enqueued", "canceled"),
    ("processing", "enqueued"),
    ("processing", "processing"),
    ("processing", "completed"),
    ("processing", "failed"),
    ("processing", "canceled"),
    ("failed", "enqueued"),
}
STEP_MOVES = {
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "in_doubt"),
    ("waiting", "succeeded"),
    ("waiting", "skipped"),
    ("in_doubt", "succeeded"),
    ("in_doubt", "failed"),
}


def pairs(words: type[TriggerStatus] | type[StepStatus]) -> set[tuple[str, str]]:
    return set(product([word.value for word in words], [word.value for word in words]))


def test_the_words_are_those_of_the_api() -> None:
    assert [status.value for status in TriggerStatus] == ["enqueued", "processing", "completed", "failed", "canceled"]
    assert [status.value for status in StepStatus] == [
        "running",
        "waiting",
        "succeeded",
        "failed",
        "skipped",
        "in_doubt",
    ]


@pytest.mark.parametrize(("before", "after"), sorted(TRIGGER_MOVES))
def test_a_trigger_may_make_a_listed_move(before: str, after: str) -> None:
    check_trigger_move(before, after)


@pytest.mark.parametrize(("before", "after"), sorted(pairs(TriggerStatus) - TRIGGER_MOVES))
def test_a_trigger_may_make_no_other_move(before: str, after: str) -> None:
    with pytest.raises(IllegalMove, match=f"A trigger can't go from {before} to {after}."):
        check_trigger_move(before, after)


@pytest.mark.parametrize(("before", "after"), sorted(STEP_MOVES))
def test_a_step_may_make_a_listed_move(before: str, after: str) -> None:
    check_step_move(before, after)


@pytest.mark.parametrize(("before", "after"), sorted(pairs(StepStatus) - STEP_MOVES))
def test_a_step_may_make_no_other_move(before: str, after: str) -> None:
    with pytest.raises(IllegalMove, match=f"A step can't go from {before} to {after}."):
        check_step_move(before, after)


@pytest.mark.parametrize("check", [check_trigger_move, check_step_move])
def test_a_word_that_is_no_status_is_a_mistake_of_the_caller(check: Callable[[str, str], None]) -> None:
    with pytest.raises(ValueError, match="'sent' is not a valid"):
        check("sent", "failed")


def test_a_trigger_is_either_under_way_or_finished() -> None:
    assert set(UNDER_WAY) == {TriggerStatus.ENQUEUED, TriggerStatus.PROCESSING}
    assert set(FINISHED) == set(TriggerStatus) - set(UNDER_WAY)
