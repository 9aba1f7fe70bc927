"""Whether a run that failed may go on in another graph than the one it began in (docs/adr/0010). Pure.

What is compared is the state, not the old graph, which may be one that can't be run any more. A state holds all that
was decided: every edge out of a node that ended, every edge into a node that ended or is ready.
"""

from collections.abc import Iterable, Mapping

from execution.engine import NodeEnd, RunState
from workflows.graph import Graph
from workflows.nodes import Edge


class CarryOverRefused(Exception):
    """The run can't go on in the newer graph; `code` says what kind of reason, `node_id` where."""

    code = "version_incompatible"

    def __init__(self, node_id: str, reason: str) -> None:
        super().__init__(reason)
        self.node_id = node_id


class NodeGone(CarryOverRefused):
    """A node that the run has reached is not in the newer graph."""

    code = "node_gone"

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id, f"The newest version has no node {node_id}, which this run has reached.")


class VersionIncompatible(CarryOverRefused):
    """A node that the run has reached is there, but not where or what it was."""


def check_carry_over(graph: Graph, state: RunState, *, types: Mapping[str, str], failed: str) -> None:
    """Raise NodeGone or VersionIncompatible unless `state` may go on in `graph`; `failed` is where it stopped.

    `types` are the node types of the version that the run began in. It may when each node that ended or is ready is
    there with the same type and the same incoming edges, each node that ended has the same outgoing edges as well, and
    no other node waits for nothing but edges that are decided: nothing would ever open it.
    """
    reached = [failed, *(node_id for node_id in (*state.ended, *state.ready) if node_id != failed)]
    for node_id in reached:
        if node_id not in graph.nodes:
            raise NodeGone(node_id)
        if types.get(node_id, graph.nodes[node_id].type) != graph.nodes[node_id].type:
            raise VersionIncompatible(node_id, f"Node {node_id} has another type in the newest version.")
    for node_id in reached:
        if _keys(graph.incoming[node_id]) != {key for key in state.edges if key.partition(">")[2] == node_id}:
            raise VersionIncompatible(node_id, f"Other edges lead to node {node_id} in the newest version.")
    for node_id, end in state.ended.items():
        decided = {key for key in state.edges if key.partition(">")[0] == node_id}
        if end is not NodeEnd.FAILED and _keys(graph.outgoing[node_id]) != decided:
            raise VersionIncompatible(node_id, f"Other edges lead on from node {node_id} in the newest version.")
    for node_id, edges in graph.incoming.items():
        if node_id not in reached and edges and _keys(edges) <= state.edges.keys():
            raise VersionIncompatible(node_id, f"All that leads to node {node_id} has been decided already.")


def _keys(edges: Iterable[Edge]) -> set[str]:
    return {edge.key for edge in edges}
