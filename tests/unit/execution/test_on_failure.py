"""A node that fails for good and lets the workflow go on: what its edges and later templates see of it."""

from typing import Any

import pytest
from msgspec.structs import replace

from channels.contract import SendError
from execution import engine
from execution.engine import Ready
from execution.runs import Run, take_in_steps
from execution.states import StepStatus
from execution.verdicts import verdict
from execution.work import MOST_DOUBTS, Result
from tests.factories import EMAIL, SMS, definition
from tests.unit.execution.unsaved import (
    NOON,
    next_result,
    next_send,
    permanent,
    record,
    refused,
    remember,
    run_of,
    transient,
)

EVEN = 0.5
GOING_ON = {**EMAIL, "on_failure": "continue"}
OTHER = {**SMS, "id": "other"}


def answer_to(run: Run, error: SendError) -> Result:
    return verdict(refused(next_send(run), error, missing=("order.id",)), now=NOON, dice=EVEN)


def test_a_permanent_error_takes_the_edges_whose_condition_holds() -> None:
    raw = definition(
        GOING_ON,
        SMS,
        OTHER,
        edges=[("mail", "text", "steps.mail.failed"), ("mail", "other", "steps.mail.message_id")],
    )

    result = answer_to(run_of(raw), permanent())

    assert result.outcome == engine.Continued(frozenset({"mail>text"}))
    assert result.step is not None
    assert result.step.status == StepStatus.FAILED
    assert result.error == result.step.error


@pytest.mark.parametrize(
    ("condition", "is_taken"),
    [
        ("steps.mail.error.code == 'invalid_number'", True),
        ("steps.mail.error.code == 'timeout'", False),
        ("steps.mail.error.is_transient", False),
        ("steps.mail.failed and steps.mail.error.message contains 'number'", True),
    ],
)
def test_a_condition_can_name_the_error(condition: str, is_taken: bool) -> None:
    result = answer_to(run_of(definition(GOING_ON, SMS, edges=[("mail", "text", condition)])), permanent())

    assert result.outcome == engine.Continued(frozenset({"mail>text"} if is_taken else ()))


def test_a_transient_error_is_tried_again_first() -> None:
    run = run_of(definition({**GOING_ON, "retry": {"max_attempts": 2}}, SMS))

    first = answer_to(run, transient())
    record(first)
    second = answer_to(run, transient())

    assert isinstance(first.outcome, engine.Retrying)
    assert second.outcome == engine.Continued(frozenset({"mail>text"}))


def test_a_node_that_says_nothing_ends_the_run() -> None:
    assert answer_to(run_of(definition(EMAIL, SMS)), permanent()).outcome == engine.Failed()
    assert answer_to(run_of(definition({**EMAIL, "on_failure": "fail"}, SMS)), permanent()).outcome == engine.Failed()


def test_later_templates_see_the_same_in_this_claim_and_in_the_next() -> None:
    run = run_of(definition(GOING_ON, SMS))
    result = answer_to(run, permanent())
    record(result)
    seen = {
        "failed": True,
        "error": {"code": "invalid_number", "message": "No such number.", "is_transient": False},
        "missing_variables": ["order.id"],
    }

    assert run.names()["steps"] == {"mail": seen}

    assert result.step is not None
    later = replace(run, outputs={}, history=type(run.history)(run.history.default_factory))
    take_in_steps({run.id: later}, [result.step])
    assert later.names()["steps"] == {"mail": seen}


def test_a_failed_attempt_of_a_node_that_has_not_ended_is_not_named() -> None:
    run = run_of(definition(GOING_ON, SMS))
    step = answer_to(run, transient()).step
    assert step is not None

    later = replace(run, outputs={}, history=type(run.history)(run.history.default_factory))
    take_in_steps({run.id: later}, [step])

    assert later.names()["steps"] == {}


def test_late_evidence_that_it_was_sent_after_all_wins() -> None:
    run = run_of(definition(GOING_ON, SMS))
    record(answer_to(run, permanent()))
    [sent, refusal] = remember(run, "mail", StepStatus.SUCCEEDED, StepStatus.FAILED, output={"message_id": "id-1"})

    later = replace(run, outputs={}, history=type(run.history)(run.history.default_factory))
    take_in_steps({run.id: later}, [sent, refusal])

    assert later.names()["steps"] == {"mail": {"message_id": "id-1"}}


def test_a_condition_that_fails_is_told_in_the_stored_output_and_to_later_templates() -> None:
    run = run_of(definition(GOING_ON, SMS, edges=[("mail", "text", "(1..10000000) contains 5")]))

    result = answer_to(run, permanent())

    assert result.outcome == engine.Continued(frozenset())
    assert result.step is not None
    assert list(result.step.output["edge_errors"]) == ["mail>text"]
    assert list(run.names()["steps"]["mail"]["edge_errors"]) == ["mail>text"]


@pytest.mark.parametrize("fields", [{"on_doubt": "hold"}, {}], ids=["hold", "resend"])
def test_an_unknown_outcome_is_no_failure_to_go_on_from(fields: dict[str, Any]) -> None:
    run = run_of(definition({**GOING_ON, **fields}, SMS))
    remember(run, "mail", *[StepStatus.IN_DOUBT] * MOST_DOUBTS)

    result = next_result(run)

    assert (result.outcome, result.error and result.error["code"]) == (engine.Failed(), "outcome_unknown")


def test_nor_is_one_that_the_provider_left_open() -> None:
    run = run_of(definition({**GOING_ON, "on_doubt": "hold"}, SMS))
    run.state = replace(run.state, ready={"mail": Ready(NOON)})

    assert answer_to(run, permanent(is_in_doubt=True)).outcome == engine.Failed()
