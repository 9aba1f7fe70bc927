"""What must hold for one trigger, its steps and its dead letters. Pure: `(graph, facts) -> findings`."""

from collections import Counter
from collections.abc import Iterator, Sequence

from execution import engine
from execution.states import StepStatus
from execution.verification.findings import Finding, Kind, Limits, StepFacts, TriggerFacts
from execution.verification.state_rules import check_state, check_status
from execution.verification.step_rules import check_steps
from triggers.states import FINISHED, TriggerStatus
from workflows.graph import Graph
from workflows.priorities import CHOICES

Found = Iterator[tuple[Kind, str]]


def check_trigger(
    graph: Graph | None, trigger: TriggerFacts, steps: Sequence[StepFacts], limits: Limits
) -> list[Finding]:
    """Return what is wrong with a trigger; `steps` are all of its steps, in any order.

    Without a graph, as for a version whose channel is gone, only what needs none is checked.
    """
    found = [*_check_columns(trigger, limits), *_check_letters(trigger), *_check_log(trigger, steps, limits)]
    if graph is not None:
        found += _check_course(graph, trigger, steps, limits)
    return [Finding(kind, sentence, trigger.id) for kind, sentence in found]


def _check_columns(trigger: TriggerFacts, limits: Limits) -> Found:
    if trigger.version_workflow_id != trigger.workflow_id:
        yield Kind.VERSION_OF_OTHER_WORKFLOW, "Its version belongs to another workflow."
    is_claimed = trigger.claim_id is not None and trigger.lease_expires_at is not None
    is_free = trigger.claim_id is None and trigger.lease_expires_at is None
    if not (is_claimed if trigger.status == TriggerStatus.PROCESSING else is_free):
        yield Kind.CLAIM_AGAINST_STATUS, f"It is {trigger.status}, and its claim and lease say otherwise."
    if (trigger.status in FINISHED) is (trigger.completed_at is None):
        yield Kind.END_AGAINST_STATUS, f"It is {trigger.status} and its end is {trigger.completed_at or 'missing'}."
    if trigger.status == TriggerStatus.FAILED and not trigger.has_error:
        yield Kind.ERROR_MISSING, "It failed, and no error says why."
    yield from _check_times(trigger, limits)


def _check_times(trigger: TriggerFacts, limits: Limits) -> Found:
    lease = trigger.lease_expires_at
    if trigger.status == TriggerStatus.PROCESSING and lease is not None:
        if lease < limits.now - limits.lease_grace:
            yield Kind.LEASE_OVERDUE, f"Its lease ended at {lease.isoformat()} and no sweep has freed it."
        if lease > limits.now + limits.lease + limits.lease_grace:
            yield Kind.LEASE_TOO_LONG, f"Its lease ends at {lease.isoformat()}, later than any lease taken by now."
    if is_overdue(trigger, limits) and trigger.priority not in limits.served:
        lane = dict(CHOICES).get(trigger.priority, str(trigger.priority))
        idle = f"nothing was taken from the lane {lane} for {limits.overdue.total_seconds():g} s"
        yield Kind.UNSERVED, f"It has been due since {trigger.available_at.isoformat()}, and {idle}."


def is_overdue(trigger: TriggerFacts, limits: Limits) -> bool:
    """Say whether a trigger has been due, and nobody has touched it, for longer than is promised.

    One that was given back lately, as from a lost worker, has been due for long and waits since then.
    """
    is_due = trigger.status == TriggerStatus.ENQUEUED
    return is_due and max(trigger.available_at, trigger.updated_at) < limits.now - limits.overdue


def _check_letters(trigger: TriggerFacts) -> Found:
    if trigger.status != TriggerStatus.FAILED:
        if trigger.open_letters:
            yield Kind.DEAD_LETTER_WITHOUT_FAILURE, f"It is {trigger.status} and has an open dead letter."
    elif not trigger.open_letters and not trigger.left_letters:
        yield Kind.DEAD_LETTER_MISSING, "It failed and has no dead letter, so that nobody is asked to look at it."
    elif trigger.open_letters > 1:
        yield Kind.DEAD_LETTER_WITHOUT_FAILURE, f"It failed once and has {trigger.open_letters} open dead letters."


def _check_log(trigger: TriggerFacts, steps: Sequence[StepFacts], limits: Limits) -> Found:
    """Check what can be told from the steps alone."""
    strange = {step.node_id for step in steps if step.workflow_id != trigger.workflow_id}
    for node_id in sorted(strange):
        yield Kind.STEP_OF_OTHER_WORKFLOW, f"A step of node {node_id} names another workflow."
    succeeded = Counter(step.node_id for step in steps if step.status == StepStatus.SUCCEEDED)
    for node_id, count in succeeded.items():
        if count > 1:
            yield Kind.SUCCEEDED_TWICE, f"Node {node_id} succeeded {count} times."
    for node_id in dict.fromkeys(step.node_id for step in steps):
        attempts = sorted(step.attempt for step in steps if step.node_id == node_id and step.attempt > 0)
        if attempts != list(range(1, len(attempts) + 1)):
            yield Kind.ATTEMPTS_BROKEN, f"The attempts of node {node_id} are {', '.join(map(str, attempts))}."
    running = [step for step in steps if step.status == StepStatus.RUNNING]
    if len(running) > 1:
        yield Kind.TWO_AT_ONCE, f"{len(running)} steps run at once: {', '.join(step.node_id for step in running)}."
    for step in running:
        if step.started_at < limits.now - limits.longest_run:
            yield (
                Kind.RUNNING_TOO_LONG,
                f"Node {step.node_id} has been running since {step.started_at.isoformat()}: no worker runs that long.",
            )


def _check_course(graph: Graph, trigger: TriggerFacts, steps: Sequence[StepFacts], limits: Limits) -> Found:
    """Check state, status and steps against the graph."""
    for step in steps:
        node = graph.nodes.get(step.node_id)
        if node is None:
            yield Kind.STEP_OF_UNKNOWN_NODE, f"A step names node {step.node_id}, which its version doesn't have."
        elif node.type != step.node_type:
            yield Kind.STEP_OF_UNKNOWN_NODE, f"A step says that node {step.node_id} is of type {step.node_type}."
    try:
        state = (
            engine.start(graph, at=trigger.available_at)
            if trigger.run_state is None
            else engine.from_json(trigger.run_state)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        yield Kind.STATE_UNREADABLE, f"Its stored state can't be read: {error!r}."
        return
    broken = list(check_state(graph, state))
    yield from broken
    if not broken:
        yield from check_status(graph, state, trigger)
        known = [step for step in steps if step.node_id in graph.nodes]
        yield from check_steps(graph, state, known, limits, is_canceled=trigger.status == TriggerStatus.CANCELED)
