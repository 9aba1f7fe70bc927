"""What is late is dropped: by its trigger's expiry and by its node's time to live."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from execution import engine
from execution.engine import Ready, RunState
from execution.expiry import EXPIRED, is_past, send_by
from execution.runs import Run
from execution.states import StepStatus
from execution.verdicts import verdict
from tests.factories import EMAIL, SMS, definition
from tests.unit.execution.unsaved import (
    NOON,
    SECOND,
    next_result,
    next_send,
    permanent,
    record,
    refused,
    remember,
    run_of,
    step_facts,
    transient,
)

EVEN = 0.5
MINUTE = timedelta(minutes=1)
LATER = NOON + MINUTE
WAIT = {"id": "wait", "type": "delay", "duration": "PT1H"}
IN_DOUBT, FAILED, SUCCEEDED = StepStatus.IN_DOUBT, StepStatus.FAILED, StepStatus.SUCCEEDED


def expiring(*nodes: dict[str, Any]) -> Run:
    """Return the run of a trigger that expires at a minute past noon."""
    run = run_of(definition(*nodes))
    run.trigger.expires_at = LATER
    return run


def living(**fields: Any) -> Run:
    """Return the run of an SMS that is worth sending for a minute."""
    return run_of(definition({**SMS, "ttl_s": 60, **fields}))


def code_of(result: Any) -> str:
    return str(result.error["code"])


@pytest.mark.parametrize(
    ("expires", "ttl", "latest"),
    [(None, None, None), (90, None, 90), (None, 60, 60), (90, 60, 60), (30, 60, 30)],
)
def test_the_earlier_of_the_two_limits_holds(expires: int | None, ttl: int | None, latest: int | None) -> None:
    found = send_by(
        Ready(NOON),
        expires_at=None if expires is None else NOON + expires * SECOND,
        ttl=None if ttl is None else ttl * SECOND,
    )

    assert found == (None if latest is None else NOON + latest * SECOND)


def test_the_moment_itself_is_too_late() -> None:
    microsecond = timedelta(microseconds=1)

    assert [is_past(NOON, at) for at in (NOON - microsecond, NOON, NOON + microsecond)] == [False, True, True]
    assert is_past(None, NOON) is False


@pytest.mark.parametrize("begun", [lambda: expiring(SMS), living], ids=["trigger", "node"])
class TestMessage:
    def test_it_is_sent_in_time_and_the_send_knows_until_when(self, begun: Callable[[], Run]) -> None:
        assert next_send(begun(), now=LATER - SECOND).send_by == LATER

    def test_it_is_dropped_when_late_and_its_step_says_so(self, begun: Callable[[], Run]) -> None:
        run = begun()

        result = next_result(run, now=LATER)

        assert (result.outcome, result.is_new_step, code_of(result)) == (engine.Failed(), True, EXPIRED)
        assert step_facts(result.step) == (run.id, "text", 1, FAILED)
        assert result.step is not None
        assert result.step.error == {
            "code": EXPIRED,
            "message": "Not sent: its time was over at 2025-03-01 12:01:00+00:00.",
            "is_transient": False,
        }
        assert (result.step.provider, result.step.finished_at) == ("", LATER)


def test_a_clock_that_was_set_back_revives_nothing() -> None:
    run = expiring(SMS)
    run.state = RunState({}, {}, {"text": Ready(LATER)})

    assert code_of(next_result(run, now=NOON)) == EXPIRED


def test_a_message_that_was_sent_before_a_crash_is_not_called_late() -> None:
    run = expiring(SMS)
    remember(run, "text", SUCCEEDED)

    assert next_result(run, now=LATER).outcome == engine.Succeeded()


def test_a_late_message_in_doubt_is_not_sent_again_and_the_doubt_is_told() -> None:
    run = living()
    remember(run, "text", IN_DOUBT)

    result = next_result(run, now=LATER)

    assert (result.outcome, code_of(result)) == (engine.Failed(), EXPIRED)
    assert result.error is not None
    assert result.error["message"].endswith("An attempt before may have been sent, its outcome is unknown.")


def test_a_late_message_in_doubt_that_is_held_stays_unknown() -> None:
    run = expiring({**SMS, "on_doubt": "hold", "on_failure": "continue"})
    remember(run, "text", IN_DOUBT)

    result = next_result(run, now=LATER)

    assert (result.outcome, code_of(result)) == (engine.Failed(), "outcome_unknown")


@pytest.mark.parametrize("begun", [lambda: expiring(SMS), living], ids=["trigger", "node"])
def test_a_redrive_sends_nothing_that_is_late(begun: Callable[[], Run]) -> None:
    run = begun()
    record(next_result(run, now=LATER), now=LATER)

    run.state = engine.reopen(engine.from_json(engine.to_json(run.state)), at=LATER + MINUTE, doubts_accepted=0)
    again = next_result(run, now=LATER + MINUTE)

    assert (again.outcome, code_of(again)) == (engine.Failed(), EXPIRED)
    assert step_facts(again.step) == (run.id, "text", 2, FAILED)


def test_a_time_to_live_counts_from_when_the_node_was_reached_not_from_its_retries() -> None:
    run = living(retry={"intervals_s": [50]})
    record(verdict(refused(next_send(run), transient()), now=NOON, dice=EVEN))

    assert next_send(run, now=NOON + 50 * SECOND).send_by == LATER
    assert code_of(next_result(run, now=LATER)) == EXPIRED


class TestRetry:
    def test_one_that_would_come_too_late_is_not_waited_for(self) -> None:
        run = living(retry="patient")

        result = verdict(refused(next_send(run), transient()), now=NOON + SECOND, dice=EVEN)

        assert (result.outcome, code_of(result)) == (engine.Failed(), EXPIRED)
        assert result.error is not None
        assert result.error["message"] == (
            "Not tried again: that would be at 2025-03-01 12:01:01+00:00, and its time is over at "
            "2025-03-01 12:01:00+00:00. No answer."
        )
        assert result.step is not None
        assert result.step.error == {"code": "timeout", "message": "No answer.", "is_transient": True}

    def test_nor_is_one_that_the_provider_puts_off_for_too_long(self) -> None:
        error = transient(retry_after=timedelta(minutes=5))

        assert code_of(verdict(refused(next_send(living()), error), now=NOON, dice=EVEN)) == EXPIRED

    def test_one_that_comes_in_time_is_made(self) -> None:
        result = verdict(refused(next_send(living()), transient()), now=NOON + SECOND, dice=EVEN)

        assert result.outcome == engine.Retrying(NOON + 3 * SECOND)

    def test_a_permanent_error_stays_what_it_is(self) -> None:
        result = verdict(refused(next_send(living()), permanent()), now=NOON, dice=EVEN)

        assert code_of(result) == "invalid_number"


class TestDelay:
    def test_one_that_outlasts_the_trigger_is_looked_at_when_that_expires(self) -> None:
        run = expiring(WAIT, SMS)

        began = next_result(run)
        record(began)
        ended = next_result(run, now=LATER)

        assert began.outcome == engine.Waiting(LATER)
        assert (ended.outcome, code_of(ended)) == (engine.Failed(), EXPIRED)
        assert ended.step is began.step
        assert step_facts(ended.step) == (run.id, "wait", 1, StepStatus.SKIPPED)
        assert ended.is_new_step is False

    def test_one_that_ends_before_is_waited_for(self) -> None:
        run = expiring({**WAIT, "duration": "PT59S"}, SMS)

        assert next_result(run).outcome == engine.Waiting(NOON + 59 * SECOND)

    def test_one_that_is_reached_too_late_is_not_begun(self) -> None:
        run = expiring(WAIT, SMS)

        result = next_result(run, now=LATER)

        assert (result.outcome, result.is_new_step) == (engine.Failed(), True)
        assert step_facts(result.step) == (run.id, "wait", 1, FAILED)

    def test_a_branch_beside_it_goes_on_until_then(self) -> None:
        run = expiring(EMAIL, WAIT, SMS)
        run.state = replace(run.state, ready={"wait": Ready(LATER, is_waiting=True), "text": Ready(NOON)}, ended={})

        assert next_send(run, now=NOON).node.id == "text"


class TestOnFailure:
    def test_a_late_node_goes_the_way_of_its_other_failures(self) -> None:
        run = run_of(definition({**SMS, "ttl_s": 60, "on_failure": "continue"}, EMAIL))

        result = next_result(run, now=LATER)

        assert (result.outcome, code_of(result)) == (engine.Continued(frozenset({"text>mail"})), EXPIRED)
        assert run.names()["steps"]["text"]["error"]["code"] == EXPIRED

    def test_a_trigger_that_has_expired_goes_on_nowhere(self) -> None:
        run = expiring({**SMS, "on_failure": "continue"}, EMAIL)

        assert next_result(run, now=LATER).outcome == engine.Failed()

    def test_nor_does_one_that_expired_during_the_send(self) -> None:
        run = expiring({**SMS, "on_failure": "continue"}, EMAIL)
        answer = refused(next_send(run), permanent())

        assert verdict(answer, now=LATER, dice=EVEN).outcome == engine.Failed()
