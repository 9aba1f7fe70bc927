"""What a run does next: a send, or something that needs no provider."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict

from msgspec import Struct

from execution import engine
from execution.doubts import held_message
from execution.expiry import EXPIRED, dropped, is_past, send_by
from execution.runs import Run, failed_output
from execution.states import StepStatus, check_step_move
from execution.step_rows import AnyStep, StepRow
from execution.storable import storable
from templates.rendering import RenderError
from workflows.nodes import DelayNode, MessageNode, Node, OnDoubt, OnFailure

# A step that takes its worker down with it must not do so for ever.
MOST_DOUBTS = 5


class StepError(TypedDict):
    """Why a step failed, as steps and triggers show it.

    `is_in_doubt` is there, and true, only when the message may have been sent all the same.
    """

    code: str
    message: str
    is_transient: bool
    is_in_doubt: NotRequired[bool]


class Send(Struct, frozen=True):
    """A message to send; `step` is its intent, to be stored as `running` first. Not to be sent from `send_by` on."""

    run: Run
    node: MessageNode
    step: StepRow
    send_by: datetime | None = None


class Result(Struct, frozen=True):
    """What came of a node: the step as it shall be stored, or none to store, and what the engine makes of it.

    `is_new_step` tells a step that has no row yet from one whose intent is stored; `at` is when it came, where that was
    long before it could be recorded.
    """

    run: Run
    node_id: str
    step: StepRow | None
    outcome: engine.Outcome
    error: StepError | None = None
    is_new_step: bool = False
    at: datetime | None = None


def next_work(run: Run, *, now: datetime) -> Send | Result:
    """Return what to do for `run`, which is due and not over.

    Whether it is due is the claim's to say: a clock that was set back since must not leave a claimed run lying.
    Raises engine.NodeNotReady for a run that is over.
    """
    found = engine.next_node(run.workflow.graph, run.state)
    if found is None:
        raise engine.NodeNotReady(f"Nothing of trigger {run.id} is left to do.")
    node_id, ready = found
    node = run.workflow.graph.nodes[node_id]
    history = run.history[node_id]
    if history.succeeded is not None:
        # The node was sent, and the worker lost its lease before it could move the trigger: never twice.
        # What it opens counts its time from then on.
        return Result(run, node_id, None, succeeded(run, node_id), at=history.succeeded.finished_at)
    # For the same reason it is as late as the claim found it, at least. One that has expired may be taken before it
    # is due (see `sweep`), and needs no later moment to be late.
    at = now if is_past(run.trigger.expires_at, now) else max(now, ready.at)
    if isinstance(node, DelayNode):
        return _expired(run, node, at=at) if is_past(run.trigger.expires_at, at) else _delay(run, node, ready, now=now)
    new_doubts = history.doubts - ready.doubts_accepted
    if history.in_doubt is not None and new_doubts >= (1 if node.on_doubt is OnDoubt.HOLD else MOST_DOUBTS):
        return Result(run, node_id, None, engine.Failed(), outcome_unknown(history.in_doubt, doubts=history.doubts))
    latest = send_by(ready, expires_at=run.trigger.expires_at, ttl=node.ttl)
    if latest is not None and is_past(latest, at):
        return _expired(run, node, latest=latest, at=at)
    step = new_step(run, node.id, node.type, StepStatus.RUNNING, attempt=history.attempts + 1, started_at=now)
    return Send(run, node, step, latest)


def succeeded(run: Run, node_id: str) -> engine.Succeeded:
    """Decide the outgoing edges of a node that did its work."""
    return engine.Succeeded(_taken(run, node_id, run.outputs.get(node_id)))


def failed(run: Run, node: Node, step: StepRow, *, at: datetime) -> engine.Failed | engine.Continued:
    """Say what a failure for good means for the run, and decide the outgoing edges when it goes on.

    `step` is the node's last one, with its error. A trigger that has expired goes on nowhere.
    """
    if isinstance(node, DelayNode) or node.on_failure is not OnFailure.CONTINUE or is_past(run.trigger.expires_at, at):
        return engine.Failed()
    run.outputs[node.id] = failed_output(step)
    taken = _taken(run, node.id, step.output)
    run.outputs[node.id] = failed_output(step)
    return engine.Continued(taken)


def _taken(run: Run, node_id: str, output: dict[str, Any] | None) -> frozenset[str]:
    """Return the outgoing edges that are taken, by what the run's templates can name now.

    A condition that can't be evaluated counts as not true; `output`, the node's, says so under `edge_errors`.
    """
    edges = run.workflow.graph.outgoing[node_id]
    names = run.names() if any(edge.when for edge in edges) else {}
    taken: set[str] = set()
    errors: dict[str, str] = {}
    for edge in edges:
        try:
            if edge.when is None or edge.when.is_true(names):
                taken.add(edge.key)
        except RenderError as error:
            errors[edge.key] = storable(error.message)
    if errors and output is not None:
        output["edge_errors"] = errors
    return frozenset(taken)


def outcome_unknown(step: AnyStep, *, doubts: int) -> StepError:
    """Return the error of a node whose message may or may not have left; `step` is the latest of those in doubt."""
    return {"code": "outcome_unknown", "message": held_message(step, doubts=doubts), "is_transient": False}


def late(moment: datetime, *, is_in_doubt: bool = False) -> StepError:
    """Return the error of a message that was dropped because its time was over at `moment`."""
    return {"code": EXPIRED, "message": dropped(moment, is_in_doubt=is_in_doubt), "is_transient": False}


def new_step(
    run: Run, node_id: str, node_type: str, status: StepStatus, *, attempt: int, started_at: datetime
) -> StepRow:
    """Return a step of this run that is not stored yet."""
    return StepRow(
        trigger_id=run.id,
        workflow_id=run.trigger.workflow_id,
        node_id=node_id,
        node_type=node_type,
        attempt=attempt,
        status=status,
        started_at=started_at,
    )


def _delay(run: Run, node: DelayNode, ready: engine.Ready, *, now: datetime) -> Result:
    """Begin a delay, or end it; it counts from when its branch reached it, however late a worker came by.

    One that would outlast the trigger's time is looked at again when that is over, and no later.
    """
    if not ready.is_waiting:
        until = ready.at + node.delay
        step = new_step(run, node.id, node.type, StepStatus.WAITING, attempt=1, started_at=ready.at)
        step.output = {"until": until.isoformat()}
        # A delay that is over already, such as PT0S, ends within this claim, where no history is read again.
        run.history[node.id].waiting = step
        expires_at = run.trigger.expires_at
        return Result(run, node.id, step, engine.Waiting(min(until, expires_at or until)), is_new_step=True)
    waited = run.history[node.id].waiting
    if waited is not None:
        check_step_move(waited.status, StepStatus.SUCCEEDED)
        waited.status = StepStatus.SUCCEEDED
        waited.finished_at = now
        run.outputs[node.id] = waited.output
    return Result(run, node.id, waited, succeeded(run, node.id))


def _expired(run: Run, node: Node, *, at: datetime, latest: datetime | None = None) -> Result:
    """Drop a node whose time is over, or its trigger's: nothing is sent, and its step says so.

    A trigger that has expired ends; a node that has goes the way of its other failures (`on_failure`).
    """
    history = run.history[node.id]
    error = late(latest or run.trigger.expires_at or at, is_in_doubt=history.in_doubt is not None)
    step, is_new_step = history.waiting, False
    if step is not None and step.status == StepStatus.WAITING:
        check_step_move(step.status, StepStatus.SKIPPED)
        step.status = StepStatus.SKIPPED
    else:
        history.attempts += 1
        step, is_new_step = (
            new_step(run, node.id, node.type, StepStatus.FAILED, attempt=history.attempts, started_at=at),
            True,
        )
    step.finished_at = at
    step.error = error
    history.first_failed_at = history.first_failed_at or at
    return Result(run, node.id, step, failed(run, node, step, at=at), error, is_new_step=is_new_step)
