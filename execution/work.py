"""What a run does next: a send, or something that needs no provider."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from execution import engine
from execution.models import Step
from execution.runs import Run
from execution.states import StepStatus, check_step_move
from execution.storable import storable
from templates.rendering import RenderError
from workflows.nodes import DelayNode, MessageNode, OnDoubt

# A step that takes its worker down with it must not do so for ever.
MOST_DOUBTS = 5


class StepError(TypedDict):
    """Why a step failed, as steps and triggers show it."""

    code: str
    message: str
    is_transient: bool


@dataclass(frozen=True, slots=True)
class Send:
    """A message to send; `step` is its intent, to be stored as `running` first."""

    run: Run
    node: MessageNode
    step: Step


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a node: the step as it shall be stored, or none to store, and what the engine makes of it.

    `is_new_step` tells a step that has no row yet from one whose intent is stored.
    """

    run: Run
    node_id: str
    step: Step | None
    outcome: engine.Outcome
    error: StepError | None = None
    is_new_step: bool = False


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
        return Result(run, node_id, None, succeeded(run, node_id))
    if isinstance(node, DelayNode):
        return _delay(run, node, ready, now=now)
    new_doubts = history.doubts - ready.doubts_accepted
    if history.is_in_doubt and new_doubts >= (1 if node.on_doubt is OnDoubt.HOLD else MOST_DOUBTS):
        return Result(run, node_id, None, engine.Failed(), outcome_unknown(history.doubts))
    step = new_step(run, node.id, node.type, StepStatus.RUNNING, attempt=history.attempts + 1, started_at=now)
    return Send(run, node, step)


def succeeded(run: Run, node_id: str) -> engine.Succeeded:
    """Decide the node's outgoing edges by what the run's templates can name now.

    A condition that can't be evaluated counts as not true; the node's output says so under `edge_errors`.
    """
    names = run.names()
    taken: set[str] = set()
    errors: dict[str, str] = {}
    for edge in run.workflow.graph.outgoing[node_id]:
        try:
            if edge.when is None or edge.when.is_true(names):
                taken.add(edge.key)
        except RenderError as error:
            errors[edge.key] = storable(error.message)
    if errors:
        run.outputs[node_id]["edge_errors"] = errors
    return engine.Succeeded(frozenset(taken))


def outcome_unknown(doubts: int) -> StepError:
    """Return the error of a node whose message may or may not have left."""
    return {
        "code": "outcome_unknown",
        "message": f"The worker was lost during the send {doubts} time(s); the message may have been sent. "
        "Look it up at the provider, then redrive or leave it.",
        "is_transient": False,
    }


def new_step(run: Run, node_id: str, node_type: str, status: StepStatus, *, attempt: int, started_at: datetime) -> Step:
    """Return a step of this run that is not stored yet."""
    return Step(
        trigger_id=run.id,
        workflow_id=run.trigger.workflow_id,
        node_id=node_id,
        node_type=node_type,
        attempt=attempt,
        status=status,
        started_at=started_at,
    )


def _delay(run: Run, node: DelayNode, ready: engine.Ready, *, now: datetime) -> Result:
    """Begin a delay, or end it; it counts from when its branch reached it, however late a worker came by."""
    if not ready.is_waiting:
        until = ready.at + node.delay
        step = new_step(run, node.id, node.type, StepStatus.WAITING, attempt=1, started_at=ready.at)
        step.output = {"until": until.isoformat()}
        # A delay that is over already, such as PT0S, ends within this claim, where no history is read again.
        run.history[node.id].waiting = step
        return Result(run, node.id, step, engine.Waiting(until), is_new_step=True)
    waited = run.history[node.id].waiting
    if waited is not None:
        check_step_move(waited.status, StepStatus.SUCCEEDED)
        waited.status = StepStatus.SUCCEEDED
        waited.finished_at = now
        run.outputs[node.id] = waited.output
    return Result(run, node.id, waited, succeeded(run, node.id))
