"""Runs, steps and answers that no database knows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from channels.contract import PermanentSendError, Receipt, SendError, TransientSendError
from execution import engine
from execution.runs import Run, TriggerRow
from execution.sending import Answer
from execution.states import StepStatus
from execution.step_rows import StepRow
from execution.work import Result, Send, new_step, next_work
from tests.factories import ANN
from workflows.compiled import CompiledVersion
from workflows.definition import parse_definition

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RECEIPT = Receipt(provider="outbox", message_id="id-1")


def run_of(definition: dict[str, Any], *, context: dict[str, Any] | None = None, at: datetime = NOON) -> Run:
    """Return the run of a trigger for Ann that begins at `at`."""
    parsed = parse_definition(definition)
    trigger = TriggerRow(
        id=uuid4(),
        workflow_id=uuid4(),
        version_id=uuid4(),
        available_at=at,
        created_at=at,
        scheduled_at=None,
        expires_at=None,
        current_node_id=parsed.graph.entry,
        attempts=0,
        run_state=None,
        recipient=dict(ANN),
        context=context or {},
    )
    workflow = CompiledVersion(
        id=uuid4(), workflow_key="order-shipped", graph=parsed.graph, strict_variables=parsed.strict_variables
    )
    return Run(trigger, workflow, engine.start(parsed.graph, at=at))


def remember(run: Run, node_id: str, *statuses: StepStatus, output: dict[str, Any] | None = None) -> list[StepRow]:
    """Put steps of a node into the run's history, as if read from the database; return them."""
    steps = []
    for attempt, status in enumerate(statuses, start=1):
        step = new_step(run, node_id, run.workflow.graph.nodes[node_id].type, status, attempt=attempt, started_at=NOON)
        step.output = dict(output or {})
        if status not in (StepStatus.RUNNING, StepStatus.WAITING):
            step.finished_at = NOON + attempt * SECOND
        run.history[node_id].add(step)
        if status == StepStatus.SUCCEEDED:
            run.outputs[node_id] = step.output
        steps.append(step)
    return steps


def next_send(run: Run, *, now: datetime = NOON) -> Send:
    work = next_work(run, now=now)
    assert isinstance(work, Send)
    return work


def next_result(run: Run, *, now: datetime = NOON) -> Result:
    work = next_work(run, now=now)
    assert isinstance(work, Result)
    return work


def record(result: Result, *, now: datetime = NOON) -> None:
    """Move the run on, as `recording` does."""
    run = result.run
    run.state = engine.advance(run.workflow.graph, run.state, node_id=result.node_id, outcome=result.outcome, at=now)


def answered(send: Send, *, missing: tuple[str, ...] = (), at: datetime = NOON + SECOND) -> Answer:
    return Answer(send, at, receipt=RECEIPT, missing_variables=missing)


def refused(send: Send, error: SendError, *, missing: tuple[str, ...] = (), at: datetime = NOON + SECOND) -> Answer:
    return Answer(send, at, error=error, missing_variables=missing)


def transient(*, retry_after: timedelta | None = None, is_in_doubt: bool = False) -> TransientSendError:
    return TransientSendError(
        provider="twilio", code="timeout", message="No answer.", retry_after=retry_after, is_in_doubt=is_in_doubt
    )


def permanent(*, message: str = "No such number.", is_in_doubt: bool = False) -> PermanentSendError:
    return PermanentSendError(provider="twilio", code="invalid_number", message=message, is_in_doubt=is_in_doubt)


def step_facts(step: StepRow | None) -> tuple[UUID, str, int, str] | None:
    """Return whose step this is, which attempt, and where it stands."""
    return None if step is None else (step.trigger_id, step.node_id, step.attempt, step.status)
