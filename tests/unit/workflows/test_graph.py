"""The shape of a graph: grouping, cycles, reach."""

import pytest

from tests.unit.execution.graphs import graph_of, message
from workflows.graph import build_graph, find_cycle, unreachable
from workflows.nodes import Edge


def test_edges_are_grouped_by_either_end_in_the_order_given() -> None:
    graph = graph_of("abcd", "b>d", "a>b", "c>d", "a>c")

    assert {node_id: [edge.key for edge in edges] for node_id, edges in graph.outgoing.items()} == {
        "a": ["a>b", "a>c"],
        "b": ["b>d"],
        "c": ["c>d"],
        "d": [],
    }
    assert {node_id: [edge.key for edge in edges] for node_id, edges in graph.incoming.items()} == {
        "a": [],
        "b": ["a>b"],
        "c": ["a>c"],
        "d": ["b>d", "c>d"],
    }


def test_positions_follow_the_definition_not_the_run() -> None:
    nodes = [message(node_id) for node_id in ("z", "a", "m")]

    graph = build_graph(entry="m", nodes=nodes, edges=[Edge("m", "z"), Edge("z", "a")])

    assert (graph.entry, graph.position) == ("m", {"z": 0, "a": 1, "m": 2})


@pytest.mark.parametrize(
    ("pairs", "cycle"),
    [
        ([], []),
        (["ab", "bc"], []),
        (["ab", "ac", "bd", "cd", "ad"], []),
        (["aa"], ["a", "a"]),
        (["ab", "ba"], ["a", "b", "a"]),
        (["ab", "bc", "cd", "db"], ["b", "c", "d", "b"]),
        (["ab", "xy", "yx"], ["x", "y", "x"]),
        (["ab", "bc", "cd", "de", "ef", "fg", "gh", "hf"], ["f", "g", "h", "f"]),
    ],
)
def test_a_cycle_is_found_closed_and_told_from_its_first_node(pairs: list[str], cycle: list[str]) -> None:
    assert find_cycle([(pair[0], pair[1]) for pair in pairs]) == cycle


@pytest.mark.parametrize(
    ("pairs", "missing"),
    [
        (["ab", "bc", "cd"], []),
        ([], ["b", "c", "d"]),
        (["ab", "cd"], ["c", "d"]),
        (["ba", "ca"], ["b", "c", "d"]),
        (["ab", "cb", "db"], ["c", "d"]),
        (["ab", "ba", "bc", "cd"], []),
    ],
)
def test_what_no_path_leads_to_is_named_in_order(pairs: list[str], missing: list[str]) -> None:
    assert unreachable(entry="a", node_ids="abcd", pairs=[(pair[0], pair[1]) for pair in pairs]) == missing
