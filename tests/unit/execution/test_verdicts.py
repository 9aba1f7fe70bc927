"""From a provider's answer to a finished step and an outcome."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from channels.contract import SendError
from execution import engine
from execution.engine import Ready
from execution.expiry import EXPIRED
from execution.runs import Run
from execution.states import IllegalMove, StepStatus
from execution.storable import LONGEST_MESSAGE
from execution.verdicts import verdict
from execution.work import Result
from tests.factories import EMAIL, SMS, definition
from tests.unit.execution.unsaved import (
    NOON,
    SECOND,
    answered,
    next_send,
    permanent,
    record,
    refused,
    remember,
    run_of,
    transient,
)

# Dice that leave the planned wait as it is.
EVEN = 0.5
NOW = NOON + 2 * SECOND
HELD = {**SMS, "on_doubt": "hold"}


def answer_to(run: Run, error: SendError, *, dice: float = EVEN) -> Result:
    return verdict(refused(next_send(run), error), now=NOW, dice=dice)


def fail_before(run: Run, node_id: str, *, failures: int) -> None:
    remember(run, node_id, *[StepStatus.FAILED] * failures)
    run.state = replace(run.state, ready={node_id: Ready(NOON, failures=failures)})


class TestSuccess:
    def test_it_completes_the_step(self) -> None:
        send = next_send(run_of(definition(EMAIL)))

        result = verdict(answered(send), now=NOW, dice=EVEN)

        assert result.step is send.step
        assert (result.run, result.node_id, result.error) == (send.run, "mail", None)
        assert (send.step.status, send.step.finished_at) == (StepStatus.SUCCEEDED, NOON + SECOND)
        assert (send.step.provider, send.step.message_id) == ("outbox", "id-1")
        assert send.step.output == {
            "message_id": "id-1",
            "provider": "outbox",
            "sent_at": "2025-03-01T12:00:01+00:00",
        }

    def test_its_output_can_be_named_by_later_templates(self) -> None:
        send = next_send(run_of(definition(EMAIL, SMS)))

        verdict(answered(send), now=NOW, dice=EVEN)

        assert send.run.names()["steps"] == {"mail": send.step.output}

    def test_its_output_decides_the_edges(self) -> None:
        raw = definition(
            EMAIL,
            SMS,
            {**SMS, "id": "other"},
            edges=[
                ("mail", "text", "steps.mail.message_id == 'id-1'"),
                ("mail", "other", "steps.mail.provider == 'x'"),
            ],
        )
        send = next_send(run_of(raw))

        result = verdict(answered(send), now=NOW, dice=EVEN)

        assert result.outcome == engine.Succeeded(frozenset({"mail>text"}))

    def test_missing_variables_are_kept_in_the_output(self) -> None:
        send = next_send(run_of(definition(EMAIL)))

        verdict(answered(send, missing=("order.id", "recipient.name")), now=NOW, dice=EVEN)

        assert send.step.output == {
            "missing_variables": ["order.id", "recipient.name"],
            "message_id": "id-1",
            "provider": "outbox",
            "sent_at": "2025-03-01T12:00:01+00:00",
        }

    def test_a_condition_that_fails_is_told_in_the_stored_output(self) -> None:
        send = next_send(run_of(definition(EMAIL, SMS, edges=[("mail", "text", "(1..10000000) contains 5")])))

        result = verdict(answered(send), now=NOW, dice=EVEN)

        assert result.outcome == engine.Succeeded(frozenset())
        assert list(send.step.output["edge_errors"]) == ["mail>text"]

    def test_a_step_that_is_not_running_is_not_completed(self) -> None:
        send = next_send(run_of(definition(EMAIL)))
        send.step.status = StepStatus.FAILED

        with pytest.raises(IllegalMove):
            verdict(answered(send), now=NOW, dice=EVEN)


class TestTransientFailure:
    @pytest.mark.parametrize(("failures", "wait"), [(0, 2), (1, 4)])
    def test_it_is_tried_again_after_the_policys_wait(self, failures: int, wait: int) -> None:
        run = run_of(definition(EMAIL))
        fail_before(run, "mail", failures=failures)

        result = answer_to(run, transient())

        assert result.outcome == engine.Retrying(NOW + timedelta(seconds=wait))

    def test_it_fails_the_step_and_says_why(self) -> None:
        run = run_of(definition(EMAIL))

        result = answer_to(run, transient())

        assert result.step is not None
        assert (result.step.status, result.step.finished_at) == (StepStatus.FAILED, NOON + SECOND)
        assert result.step.error == {"code": "timeout", "message": "No answer.", "is_transient": True}
        assert result.error == result.step.error
        assert (result.step.output, result.step.message_id) == ({}, "")
        assert run.outputs == {}

    def test_the_nodes_own_policy_decides(self) -> None:
        node = {**SMS, "retry": {"max_attempts": 2, "intervals_s": [60]}}

        result = answer_to(run_of(definition(node)), transient(), dice=1)

        assert result.outcome == engine.Retrying(NOW + timedelta(seconds=66))

    def test_the_providers_pause_is_kept(self) -> None:
        result = answer_to(run_of(definition(EMAIL)), transient(retry_after=timedelta(seconds=30)))

        assert result.outcome == engine.Retrying(NOW + timedelta(seconds=30))

    def test_the_last_attempt_fails_for_good(self) -> None:
        run = run_of(definition(EMAIL))
        fail_before(run, "mail", failures=2)

        result = answer_to(run, transient())

        assert result.outcome == engine.Failed()
        assert result.error == {"code": "timeout", "message": "No answer.", "is_transient": True}
        assert run.history["mail"].attempts == 3

    def test_a_redriven_node_has_all_its_attempts_again(self) -> None:
        run = run_of(definition(EMAIL))
        fail_before(run, "mail", failures=2)
        record(answer_to(run, transient()))
        run.state = engine.reopen(run.state, at=NOON, doubts_accepted=0)

        result = answer_to(run, transient())

        assert result.outcome == engine.Retrying(NOW + timedelta(seconds=2))
        assert result.step is not None
        assert result.step.attempt == 4

    def test_attempts_go_on_within_one_claim(self) -> None:
        run = run_of(definition({**EMAIL, "retry": {"backoff": {"base_s": 0}}}))
        seen = []
        for _ in range(3):
            result = answer_to(run, transient())
            record(result)
            assert result.step is not None
            seen.append((result.step.attempt, type(result.outcome)))

        assert seen == [(1, engine.Retrying), (2, engine.Retrying), (3, engine.Failed)]

    def test_the_first_failure_is_remembered(self) -> None:
        run = run_of(definition(EMAIL))

        record(answer_to(run, transient()))
        record(verdict(refused(next_send(run), transient(), at=NOON + 9 * SECOND), now=NOW, dice=EVEN))

        assert run.history["mail"].first_failed_at == NOON + SECOND


class TestPermanentFailure:
    def test_it_is_not_tried_again(self) -> None:
        result = answer_to(run_of(definition(EMAIL)), permanent())

        assert result.outcome == engine.Failed()
        assert result.step is not None
        assert result.step.status == StepStatus.FAILED
        assert result.error == {"code": "invalid_number", "message": "No such number.", "is_transient": False}

    def test_missing_variables_are_kept_in_the_output(self) -> None:
        send = next_send(run_of(definition(EMAIL)))

        verdict(refused(send, permanent(), missing=("recipient.email",)), now=NOW, dice=EVEN)

        assert send.step.output == {"missing_variables": ["recipient.email"]}

    def test_an_endless_message_is_cut(self) -> None:
        result = answer_to(run_of(definition(EMAIL)), permanent(message="x" * 1_000_000))

        assert result.error is not None
        assert result.error["message"] == "x" * LONGEST_MESSAGE


class TestDoubt:
    @pytest.mark.parametrize("error", [transient(is_in_doubt=True), permanent(is_in_doubt=True)])
    def test_a_held_message_waits_for_a_person(self, error: SendError) -> None:
        run = run_of(definition(HELD))

        result = answer_to(run, error)

        assert result.outcome == engine.Failed()
        assert result.step is not None
        assert (result.step.status, result.step.finished_at) == (StepStatus.IN_DOUBT, NOON + SECOND)
        assert result.step.error is not None
        assert (result.step.error["code"], result.step.error["is_in_doubt"]) == (error.code, True)
        assert result.error is not None
        assert result.error["code"] == "outcome_unknown"
        assert run.history["text"].attempts == 1

    def test_a_held_message_that_surely_did_not_leave_is_tried_again(self) -> None:
        result = answer_to(run_of(definition(HELD)), transient())

        assert result.outcome == engine.Retrying(NOW + timedelta(seconds=2))

    def test_another_message_is_sent_again(self) -> None:
        result = answer_to(run_of(definition(SMS)), transient(is_in_doubt=True))

        assert result.outcome == engine.Retrying(NOW + timedelta(seconds=2))
        assert result.step is not None
        assert result.step.status == StepStatus.FAILED

    def test_a_failed_attempt_that_may_have_been_sent_says_so(self) -> None:
        result = answer_to(run_of(definition(SMS)), transient(is_in_doubt=True))

        assert result.step is not None
        assert result.step.error == {
            "code": "timeout", "message": "No answer.", "is_transient": True, "is_in_doubt": True
        }  # fmt: skip

    def test_what_would_be_tried_again_too_late_and_may_have_been_sent_says_so(self) -> None:
        run = run_of(definition({**SMS, "ttl_s": 3}))

        result = answer_to(run, transient(is_in_doubt=True))

        assert result.error is not None
        assert result.error["code"] == EXPIRED
        assert result.error["message"].endswith("No answer. This attempt may have been sent.")

    def test_the_error_of_a_held_message_tells_what_is_known_and_what_a_redrive_does(self) -> None:
        run = run_of(definition(HELD))
        send = next_send(run)
        send.step.provider = "twilio"

        result = verdict(refused(send, transient(is_in_doubt=True)), now=NOW, dice=EVEN)

        assert result.error is not None
        assert result.error["message"] == (
            "The message of node text is in doubt. It was handed to twilio at 1 Mar 2025, 12:00:00 UTC, which gave no "
            "clear answer: no message id came back, and it may have been sent or not. A redrive sends it again: look "
            f"it up at twilio first, by Message-ID or idempotency key {run.id}.text, or by recipient and time."
        )

    @pytest.mark.parametrize(
        ("earlier", "often"),
        [
            ([], False),
            ([StepStatus.IN_DOUBT], True),
            ([StepStatus.FAILED, StepStatus.IN_DOUBT], True),
        ],
    )
    def test_the_error_counts_every_doubt(self, earlier: list[Any], often: bool) -> None:
        run = run_of(definition(HELD))
        remember(run, "text", *earlier)
        run.state = replace(run.state, ready={"text": Ready(NOON, doubts_accepted=len(earlier))})

        result = answer_to(run, transient(is_in_doubt=True))

        assert result.error is not None
        assert ("2 attempts ended in doubt; this was the last." in result.error["message"]) is often
