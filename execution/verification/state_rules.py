"""A run's state against the graph it walks through, and the trigger's status against the state. Pure."""

from collections.abc import Iterator

from execution import engine
from execution.engine import NodeEnd, RunState
from execution.verification.findings import Kind, TriggerFacts
from triggers.states import UNDER_WAY, TriggerStatus
from workflows.graph import Graph

Found = Iterator[tuple[Kind, str]]


def check_state(graph: Graph, state: RunState) -> Found:
    """Check that nodes and edges are decided as DESIGN section 4 has it, whatever order they were decided in."""
    keys = {edge.key for edges in graph.outgoing.values() for edge in edges}
    for name in sorted({*state.ended, *state.ready} - set(graph.nodes)) + sorted(set(state.edges) - keys):
        yield Kind.STATE_AGAINST_GRAPH, f"Its state names {name}, which its version doesn't have."
    for node_id in graph.nodes:
        for sentence in (*_wrong_before(graph, state, node_id), *_wrong_behind(graph, state, node_id)):
            yield Kind.STATE_AGAINST_GRAPH, sentence


def _wrong_before(graph: Graph, state: RunState, node_id: str) -> Iterator[str]:
    """Compare where a node stands with the edges that lead to it."""
    decided = [state.edges.get(edge.key) for edge in graph.incoming[node_id]]
    is_reached = node_id == graph.entry or (None not in decided and any(decided))
    is_dead = node_id != graph.entry and set(decided) == {False}
    end, is_ready = state.ended.get(node_id), node_id in state.ready
    if end is not None and is_ready:
        yield f"Node {node_id} has {end} and is ready to run."
    if is_dead and end is not NodeEnd.SKIPPED:
        yield f"No edge leads to node {node_id} any more, and it is not skipped."
    elif is_reached and end is None and not is_ready:
        yield f"Node {node_id} was reached and is neither ready nor ended."
    elif end is NodeEnd.SKIPPED and not is_dead:
        yield f"Node {node_id} is skipped, and an edge to it is not dead."
    elif (is_ready or end is not None) and not (is_reached or is_dead):
        yield f"Node {node_id} is {end or 'ready'} before the edges to it are decided."


def _wrong_behind(graph: Graph, state: RunState, node_id: str) -> Iterator[str]:
    """Compare how a node ended with the edges that lead on."""
    decided = {edge.target: state.edges.get(edge.key) for edge in graph.outgoing[node_id]}
    end = state.ended.get(node_id)
    undecided = [target for target, taken in decided.items() if taken is None]
    if end is None and len(undecided) < len(decided):
        yield f"Edges of node {node_id} are decided, and it has not ended."
    if end not in (None, NodeEnd.FAILED) and undecided:
        yield f"Node {node_id} has {end}, and its edges to {', '.join(undecided)} are not decided."
    if end is NodeEnd.SKIPPED and any(decided.values()):
        yield f"Node {node_id} is skipped, and an edge of it is taken."


def check_status(graph: Graph, state: RunState, trigger: TriggerFacts) -> Found:
    """Check that the trigger stands where its state says: under way while there is a next node, and then ended so."""
    following = engine.next_node(graph, state)
    failed = engine.failed_node(state)
    if trigger.status in UNDER_WAY:
        if following is None:
            yield Kind.STATUS_AGAINST_STATE, f"It is {trigger.status}, and nothing of it is left to run."
        else:
            yield from _check_next(trigger, *following)
    elif trigger.status == TriggerStatus.COMPLETED:
        if following is not None:
            yield Kind.STATUS_AGAINST_STATE, f"It is completed, and node {following[0]} has not run."
        elif failed is not None:
            yield Kind.STATUS_AGAINST_STATE, f"It is completed, and node {failed} failed."
    elif trigger.status == TriggerStatus.FAILED and failed is not None and trigger.current_node_id != failed:
        yield Kind.NODE_AGAINST_STATE, f"Node {failed} failed, and it stands at {trigger.current_node_id or 'none'}."


def _check_next(trigger: TriggerFacts, node_id: str, ready: engine.Ready) -> Found:
    if trigger.current_node_id != node_id:
        yield Kind.NODE_AGAINST_STATE, f"Node {node_id} is next, and it stands at {trigger.current_node_id or 'none'}."
    if trigger.available_at < ready.at:
        yield Kind.TOO_EARLY, f"Node {node_id} may run from {ready.at.isoformat()} on, and it is due before that."
