"""The shape of a workflow: what leads where, and what is wrong with it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx

from workflows.nodes import Edge, Node


@dataclass(frozen=True, slots=True)
class Graph:
    """A valid workflow graph; nodes in definition order, edges grouped by either end."""

    entry: str
    nodes: Mapping[str, Node]
    outgoing: Mapping[str, tuple[Edge, ...]]
    incoming: Mapping[str, tuple[Edge, ...]]
    position: Mapping[str, int]


def build_graph(*, entry: str, nodes: Iterable[Node], edges: Iterable[Edge]) -> Graph:
    """Index nodes and edges that have been found valid."""
    by_id = {node.id: node for node in nodes}
    outgoing: dict[str, list[Edge]] = {node_id: [] for node_id in by_id}
    incoming: dict[str, list[Edge]] = {node_id: [] for node_id in by_id}
    for edge in edges:
        outgoing[edge.source].append(edge)
        incoming[edge.target].append(edge)
    return Graph(
        entry=entry,
        nodes=by_id,
        outgoing={node_id: tuple(found) for node_id, found in outgoing.items()},
        incoming={node_id: tuple(found) for node_id, found in incoming.items()},
        position={node_id: index for index, node_id in enumerate(by_id)},
    )


def find_cycle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the nodes of one cycle, first one repeated at the end; empty when there is none."""
    graph: networkx.DiGraph[str] = networkx.DiGraph(list(pairs))
    if networkx.is_directed_acyclic_graph(graph):
        return []
    # find_cycle takes quadratic time on the way to a cycle, so it is shown only nodes that lie on one.
    knots = networkx.strongly_connected_components(graph)
    knot = next(knot for knot in knots if len(knot) > 1 or graph.has_edge(*2 * tuple(knot)))
    # A set of strings is in another order in each process; the error shall be the same.
    cycle = networkx.find_cycle(graph.subgraph(knot), source=next(node for node in graph if node in knot))
    return [cycle[0][0], *(step[1] for step in cycle)]


def unreachable(*, entry: str, node_ids: Iterable[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the nodes that no path from `entry` leads to, in the order given."""
    graph: networkx.DiGraph[str] = networkx.DiGraph(list(pairs))
    graph.add_node(entry)
    reached = networkx.descendants(graph, entry) | {entry}
    return [node_id for node_id in node_ids if node_id not in reached]
