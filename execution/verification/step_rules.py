"""The steps of a run against its state: what ended has its step, what was not reached has none, in order. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from execution.engine import NodeEnd, RunState
from execution.states import StepStatus
from execution.verification.findings import Kind, Limits, StepFacts
from workflows.graph import Graph

Found = Iterator[tuple[Kind, str]]


def check_steps(
    graph: Graph, state: RunState, steps: Sequence[StepFacts], limits: Limits, *, is_canceled: bool
) -> Found:
    """Check the steps of nodes that the graph has; a cancel ends the delays that were under way.

    Late evidence may prove a success of a node that failed, or that is still ready: that is no contradiction.
    """
    by_node: defaultdict[str, list[StepFacts]] = defaultdict(list)
    for step in steps:
        by_node[step.node_id].append(step)
    passed = _passed(graph, state, by_node)
    for node_id in graph.nodes:
        if node_id not in passed:
            yield from _check_node(state, node_id, by_node[node_id], is_canceled=is_canceled)
    yield from _check_order(graph, state, by_node, limits)


def _passed(graph: Graph, state: RunState, steps: dict[str, list[StepFacts]]) -> set[str]:
    """Return what a run may have reached that the state does not tell of yet (docs/adr/0015).

    That is what lies behind nodes that are ready by the state and have succeeded by their steps, as far as those go on
    succeeding. A state that holds nothing ready tells everything.
    """
    passed: set[str] = set()
    to_look_at = list(state.ready)
    while to_look_at:
        node_id = to_look_at.pop()
        if any(step.status == StepStatus.SUCCEEDED for step in steps.get(node_id, ())):
            behind = [edge.target for edge in graph.outgoing[node_id] if edge.target not in passed]
            passed.update(behind)
            to_look_at += behind
    return passed - state.ended.keys() - state.ready.keys()


def _check_node(state: RunState, node_id: str, steps: Sequence[StepFacts], *, is_canceled: bool) -> Found:
    end, ready = state.ended.get(node_id), state.ready.get(node_id)
    statuses = {step.status for step in steps}
    if end is None and ready is None and steps:
        yield Kind.STEP_OF_UNREACHED_NODE, f"Node {node_id} has a step, and no branch has reached it."
    elif end is NodeEnd.SUCCEEDED and StepStatus.SUCCEEDED not in statuses:
        yield Kind.SUCCEEDED_WITHOUT_STEP, f"Node {node_id} has succeeded, and no step of it says so."
    elif end in (NodeEnd.FAILED, NodeEnd.CONTINUED) and not steps:
        yield Kind.FAILED_WITHOUT_STEP, f"Node {node_id} has failed, and it has no step."
    elif end is NodeEnd.SKIPPED:
        yield from _check_skipped(node_id, statuses)
    lost = 0 if ready is None else ready.failures - sum(step.status == StepStatus.FAILED for step in steps)
    if lost > 0:
        yield Kind.ATTEMPTS_BROKEN, f"Node {node_id} has failed {lost} time(s) more often than its steps say."
    should_wait = ready is not None and ready.is_waiting and not is_canceled
    if StepStatus.WAITING in statuses and not should_wait:
        yield Kind.WAITING_AGAINST_STATE, f"A step of node {node_id} waits, and no delay is under way there."
    if should_wait and StepStatus.WAITING not in statuses:
        yield Kind.WAITING_AGAINST_STATE, f"Node {node_id} waits for its delay, and no step of it says so."


def _check_skipped(node_id: str, statuses: set[str]) -> Found:
    if not statuses:
        yield Kind.SKIPPED_WITHOUT_STEP, f"Node {node_id} is skipped, and no step of it says so."
    elif statuses != {StepStatus.SKIPPED}:
        others = ", ".join(sorted(statuses - {StepStatus.SKIPPED}))
        yield Kind.SKIPPED_BUT_SENT, f"Node {node_id} is skipped, and it has steps that are {others}."


def _check_order(graph: Graph, state: RunState, steps: dict[str, list[StepFacts]], limits: Limits) -> Found:
    """Check that no node began before those ended whose edges to it were taken."""
    for node_id, own in steps.items():
        begun = min((step.started_at for step in own if step.attempt > 0), default=None)
        for edge in graph.incoming[node_id]:
            ended = [step.finished_at for step in steps.get(edge.source, ()) if step.status == StepStatus.SUCCEEDED]
            if begun is None or not state.edges.get(edge.key) or not ended or ended[0] is None:
                continue
            if begun + limits.skew < ended[0]:
                yield Kind.ORDER_AGAINST_EDGES, f"Node {node_id} began before node {edge.source} had ended."
