"""What a run does next, told from its state and from what its earlier steps left behind."""

from datetime import timedelta

import pytest

from execution import engine
from execution.engine import NodeEnd, Ready, RunState
from execution.runs import NodeHistory
from execution.states import StepStatus
from execution.work import MOST_DOUBTS, next_work
from tests.factories import EMAIL, SMS, definition
from tests.unit.execution.unsaved import (
    NOON,
    SECOND,
    next_result,
    next_send,
    record,
    remember,
    run_of,
    step_facts,
)

IN_DOUBT, FAILED, SUCCEEDED = StepStatus.IN_DOUBT, StepStatus.FAILED, StepStatus.SUCCEEDED
MINUTE = {"id": "wait", "type": "delay", "duration": "PT1M"}
HELD = {**SMS, "on_doubt": "hold"}
UNKNOWN_CODE = "outcome_unknown"


def redrive(run_state: RunState, node_id: str, *, doubts_accepted: int) -> RunState:
    failed = RunState({**run_state.ended, node_id: NodeEnd.FAILED}, run_state.edges, {})
    return engine.reopen(failed, at=NOON, doubts_accepted=doubts_accepted)


def test_a_message_that_is_due_is_sent_and_its_intent_is_running() -> None:
    run = run_of(definition(EMAIL))

    send = next_send(run, now=NOON + SECOND)

    assert send.run is run
    assert send.node is run.workflow.graph.nodes["mail"]
    assert step_facts(send.step) == (run.id, "mail", 1, StepStatus.RUNNING)
    assert (send.step.node_type, send.step.workflow_id) == ("email", run.trigger.workflow_id)
    assert (send.step.started_at, send.step.finished_at) == (NOON + SECOND, None)


def test_looking_at_a_message_does_not_move_the_run() -> None:
    run = run_of(definition(EMAIL))
    before = run.state

    next_send(run)

    assert run.state == before


def test_a_run_is_carried_on_even_when_the_clock_was_set_back() -> None:
    assert next_send(run_of(definition(EMAIL)), now=NOON - SECOND).step.attempt == 1


def test_attempts_are_counted_on_from_the_history() -> None:
    run = run_of(definition(EMAIL))
    remember(run, "mail", FAILED, IN_DOUBT, FAILED)

    assert next_send(run).step.attempt == 4


def test_a_run_that_is_over_has_nothing_to_do() -> None:
    run = run_of(definition(EMAIL))
    run.state = engine.advance(run.workflow.graph, run.state, node_id="mail", outcome=engine.Failed(), at=NOON)

    with pytest.raises(engine.NodeNotReady):
        next_work(run, now=NOON)


def test_a_step_that_succeeded_is_not_sent_again() -> None:
    run = run_of(definition(EMAIL, SMS))
    remember(run, "mail", SUCCEEDED)

    result = next_result(run)

    assert (result.node_id, result.step, result.error) == ("mail", None, None)
    assert result.outcome == engine.Succeeded(frozenset({"mail>text"}))


def test_a_step_that_succeeded_after_a_doubt_is_not_sent_again() -> None:
    run = run_of(definition(HELD))
    remember(run, "text", SUCCEEDED, IN_DOUBT)

    assert next_result(run).outcome == engine.Succeeded()


def test_what_a_step_gave_decides_the_edges_also_after_the_worker_was_lost() -> None:
    run = run_of(definition(EMAIL, SMS, edges=[("mail", "text", "steps.mail.provider == 'outbox'")]))
    remember(run, "mail", SUCCEEDED, output={"provider": "outbox"})

    assert next_result(run).outcome == engine.Succeeded(frozenset({"mail>text"}))


class TestDelay:
    def test_it_counts_from_when_its_branch_reached_it(self) -> None:
        run = run_of(definition(MINUTE))

        result = next_result(run, now=NOON + timedelta(hours=1))

        assert result.outcome == engine.Waiting(NOON + timedelta(minutes=1))
        assert result.step is not None
        assert step_facts(result.step) == (run.id, "wait", 1, StepStatus.WAITING)
        assert (result.step.started_at, result.step.finished_at) == (NOON, None)
        assert result.step.output == {"until": "2025-03-01T12:01:00+00:00"}

    def test_a_delay_behind_a_message_counts_from_its_answer(self) -> None:
        run = run_of(definition(EMAIL, MINUTE))
        remember(run, "mail", SUCCEEDED)
        record(next_result(run), now=NOON + 5 * SECOND)

        result = next_result(run, now=NOON + 9 * SECOND)

        assert result.outcome == engine.Waiting(NOON + timedelta(minutes=1, seconds=5))

    def test_it_ends_the_step_that_it_began(self) -> None:
        run = run_of(definition(MINUTE, SMS))
        run.state = RunState({}, {}, {"wait": Ready(NOON + timedelta(minutes=1), is_waiting=True)})
        [waiting] = remember(run, "wait", StepStatus.WAITING, output={"until": "then"})

        result = next_result(run, now=NOON + timedelta(minutes=2))

        assert result.outcome == engine.Succeeded(frozenset({"wait>text"}))
        assert result.step is waiting
        assert (waiting.status, waiting.finished_at) == (SUCCEEDED, NOON + timedelta(minutes=2))
        assert run.outputs == {"wait": {"until": "then"}}

    def test_one_that_ends_at_once_ends_the_step_that_it_began(self) -> None:
        run = run_of(definition({"id": "wait", "type": "delay", "delay_ms": 0}))
        began = next_result(run)
        record(began)

        ended = next_result(run)

        assert ended.step is began.step
        assert step_facts(ended.step) == (run.id, "wait", 1, SUCCEEDED)

    def test_one_that_ended_already_goes_on(self) -> None:
        run = run_of(definition(MINUTE, SMS))
        run.state = RunState({}, {}, {"wait": Ready(NOON, is_waiting=True)})
        remember(run, "wait", SUCCEEDED)

        result = next_result(run)

        assert (result.step, result.outcome) == (None, engine.Succeeded(frozenset({"wait>text"})))


class TestEdges:
    def test_those_whose_condition_holds_are_taken(self) -> None:
        names = ["a", "b", "c"]
        run = run_of(
            definition(
                EMAIL,
                *({**SMS, "id": name} for name in names),
                edges=[("mail", "a", "order.total > 10"), ("mail", "b", "order.total > 99"), ("mail", "c")],
            ),
            context={"order": {"total": 50}},
        )
        remember(run, "mail", SUCCEEDED)

        assert next_result(run).outcome == engine.Succeeded(frozenset({"mail>a", "mail>c"}))
        assert run.outputs["mail"] == {}

    @pytest.mark.parametrize(
        "condition",
        [
            "recipient.name == 'Ann'",
            "trigger.id",
            "workflow.key == 'order-shipped'",
            "steps.mail.provider == 'outbox'",
            "order.id == 17",
        ],
    )
    def test_a_condition_can_name_what_a_template_can(self, condition: str) -> None:
        run = run_of(definition(EMAIL, SMS, edges=[("mail", "text", condition)]), context={"order": {"id": 17}})
        remember(run, "mail", SUCCEEDED, output={"provider": "outbox"})

        assert next_result(run).outcome == engine.Succeeded(frozenset({"mail>text"}))

    def test_the_engines_own_names_win_over_those_of_the_context(self) -> None:
        context = {"recipient": {"name": "Eve"}, "steps": {"mail": {}}, "trigger": "x", "workflow": {"key": "x"}}
        run = run_of(definition(EMAIL), context={**context, "order": 17})

        assert run.names() == {
            "order": 17,
            "recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
            "steps": {},
            "trigger": {"id": str(run.id)},
            "workflow": {"key": "order-shipped"},
        }

    def test_one_whose_condition_fails_is_dead_and_the_output_says_why(self) -> None:
        other = {**SMS, "id": "other"}
        run = run_of(
            definition(EMAIL, SMS, other, edges=[("mail", "text", "(1..10000000) contains 5"), ("mail", "other")])
        )
        remember(run, "mail", SUCCEEDED, output={"message_id": "id-1"})

        result = next_result(run)

        assert result.outcome == engine.Succeeded(frozenset({"mail>other"}))
        errors = run.outputs["mail"].pop("edge_errors")
        assert run.outputs["mail"] == {"message_id": "id-1"}
        assert list(errors) == ["mail>text"]
        assert errors["mail>text"] != ""


class TestDoubt:
    @pytest.mark.parametrize("doubts", range(1, MOST_DOUBTS))
    def test_a_message_is_sent_again_after_a_doubt(self, doubts: int) -> None:
        run = run_of(definition(SMS))
        remember(run, "text", *[IN_DOUBT] * doubts)

        assert next_send(run).step.attempt == doubts + 1

    def test_a_message_that_takes_its_worker_down_again_and_again_fails(self) -> None:
        run = run_of(definition(SMS))
        remember(run, "text", *[IN_DOUBT] * MOST_DOUBTS)

        result = next_result(run)

        assert (result.node_id, result.step, result.outcome) == ("text", None, engine.Failed())
        assert result.error == {
            "code": UNKNOWN_CODE,
            "message": (
                "The message of node text is in doubt. It was handed to its provider at 1 Mar 2025, 12:00:00 UTC and "
                "no answer was recorded, as its worker was lost: no message id came back, and it may have been sent or "
                "not. 5 attempts ended in doubt; this was the last. A redrive sends it again: look it up at its "
                f"provider first, by Message-ID or idempotency key {run.id}.text, or by recipient and time."
            ),
            "is_transient": False,
        }

    def test_a_held_message_fails_at_its_first_doubt(self) -> None:
        run = run_of(definition(HELD))
        remember(run, "text", FAILED, IN_DOUBT)

        result = next_result(run)

        assert (result.step, result.outcome) == (None, engine.Failed())
        assert result.error is not None
        assert result.error["code"] == UNKNOWN_CODE

    @pytest.mark.parametrize("node", [SMS, HELD], ids=["resend", "hold"])
    def test_a_doubt_that_was_settled_holds_nothing_up(self, node: dict[str, str]) -> None:
        run = run_of(definition(node))
        remember(run, "text", *[IN_DOUBT] * MOST_DOUBTS, FAILED)

        assert next_send(run).step.attempt == MOST_DOUBTS + 2

    @pytest.mark.parametrize(("node", "doubts"), [(SMS, MOST_DOUBTS), (HELD, 1)], ids=["resend", "hold"])
    def test_a_redriven_message_is_sent_again(self, node: dict[str, str], doubts: int) -> None:
        run = run_of(definition(node))
        remember(run, "text", *[IN_DOUBT] * doubts)
        run.state = redrive(run.state, "text", doubts_accepted=doubts)

        assert next_send(run).step.attempt == doubts + 1

    @pytest.mark.parametrize(("node", "further"), [(SMS, MOST_DOUBTS), (HELD, 1)], ids=["resend", "hold"])
    def test_a_redriven_message_fails_after_as_many_new_doubts(self, node: dict[str, str], further: int) -> None:
        run = run_of(definition(node))
        remember(run, "text", *[IN_DOUBT] * (3 + further))
        run.state = redrive(run.state, "text", doubts_accepted=3)

        assert next_result(run).outcome == engine.Failed()


class TestHistory:
    def test_it_is_empty_for_a_node_without_steps(self) -> None:
        run = run_of(definition(EMAIL))

        assert run.history["mail"] == NodeHistory(
            attempts=0, doubts=0, first_failed_at=None, in_doubt=None, succeeded=None, waiting=None
        )

    def test_it_keeps_what_the_steps_of_a_node_tell(self) -> None:
        run = run_of(definition(EMAIL))

        steps = remember(run, "mail", IN_DOUBT, FAILED, FAILED, IN_DOUBT)

        assert run.history["mail"] == NodeHistory(
            attempts=4, doubts=2, first_failed_at=steps[1].finished_at, in_doubt=steps[3]
        )

    def test_it_finds_the_step_that_succeeded_and_the_one_that_waits(self) -> None:
        run = run_of(definition(EMAIL, MINUTE))

        [_, succeeded] = remember(run, "mail", FAILED, SUCCEEDED)
        [waiting] = remember(run, "wait", StepStatus.WAITING)

        assert run.history["mail"].succeeded is succeeded
        assert run.history["wait"].waiting is waiting
