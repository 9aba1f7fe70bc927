"""Small graphs written as lines, and random ones for hypothesis."""

from collections.abc import Mapping
from datetime import timedelta

from hypothesis import strategies as st

from workflows.graph import Graph, build_graph
from workflows.nodes import DelayNode, Edge, MessageNode, Node

# Few different lengths, so that ties are common.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (0, 1, 5, 3600))


def message(node_id: str) -> MessageNode:
    return MessageNode(id=node_id, type="email", templates={})


def graph_of(nodes: str, *edges: str, delays: Mapping[str, int] | None = None) -> Graph:
    """Return the graph of one-letter nodes, in this order and entered at the first, and edges such as `a>b`.

    `delays` says which nodes are delays, and of how many seconds.
    """
    held = delays or {}
    return build_graph(
        entry=nodes[0],
        nodes=[DelayNode(n, timedelta(seconds=held[n])) if n in held else message(n) for n in nodes],
        edges=[Edge(edge[0], edge[-1]) for edge in edges],
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a DAG of 1 to 12 nodes, all reachable and listed in another order than the one they run in.

    What is drawn are bytes, one for each thing to decide: much faster than a draw for each.
    """
    ids = draw(st.permutations([f"n{index}" for index in range(draw(st.integers(1, 12)))]))
    edges: list[Edge] = []
    for index, node_id in enumerate(ids[1:], start=1):
        dice = draw(bytes_for(index))
        parents = [parent for parent, number in zip(ids, dice, strict=False) if number >= 192]
        edges += [Edge(parent, node_id) for parent in parents or [ids[sum(dice) % index]]]
    nodes: list[Node] = [
        DelayNode(node_id, WAITS[number % 4]) if number >= 128 else message(node_id)
        for node_id, number in zip(sorted(ids), draw(bytes_for(len(ids))), strict=True)
    ]
    return build_graph(entry=ids[0], nodes=nodes, edges=edges)


def bytes_for(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)
