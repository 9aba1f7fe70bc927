"""Which runs may go on in a newer graph, and that those which may end there as they should."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import networkx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from execution import engine
from execution.carry_over import NodeGone, VersionIncompatible, check_carry_over
from execution.engine import NodeEnd, Ready, RunState
from tests.unit.execution.simulation import begun, carry, plans
from workflows.graph import Graph, build_graph
from workflows.nodes import DelayNode, Edge, MessageNode

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
SUCCEEDED, SKIPPED, FAILED = NodeEnd.SUCCEEDED, NodeEnd.SKIPPED, NodeEnd.FAILED


def graph_of(*pairs: str, delays: Sequence[str] = (), alone: str = "") -> Graph:
    """Return a graph of edges such as `a>b`; the first node is the entry."""
    ids = dict.fromkeys([alone] if alone else [node for pair in pairs for node in pair.split(">")])
    nodes = [DelayNode(each, timedelta(0)) if each in delays else MessageNode(each, "email", {}) for each in ids]
    edges = [Edge(source, target) for source, _, target in (pair.partition(">") for pair in pairs)]
    return build_graph(entry=next(iter(ids)), nodes=nodes, edges=edges)


# a succeeded, its edge to b was taken and that to c not; b failed, c was skipped and so was its edge to d.
STATE = RunState(
    ended={"a": SUCCEEDED, "c": SKIPPED, "b": FAILED}, edges={"a>b": True, "a>c": False, "c>d": False}, ready={}
)
OLD = ("a>b", "a>c", "c>d", "b>d")
TYPES = dict.fromkeys("abcd", "email")


@pytest.mark.parametrize(
    "pairs",
    [
        OLD,
        ("a>b", "a>c", "c>d", "b>d", "d>e"),
        ("a>b", "a>c", "c>d", "b>x", "x>d"),
        ("a>b", "a>c", "c>d", "b>d", "b>x"),
    ],
)
def test_what_the_run_has_not_reached_may_be_another(pairs: tuple[str, ...]) -> None:
    check_carry_over(graph_of(*pairs), STATE, types=TYPES, failed="b")


@pytest.mark.parametrize(
    ("pairs", "node_id"),
    [(("a>c", "c>d"), "b"), (("a>b", "b>d"), "c"), (("z>b", "z>c", "c>d", "b>d"), "a")],
)
def test_a_node_that_was_reached_must_be_there(pairs: tuple[str, ...], node_id: str) -> None:
    with pytest.raises(NodeGone) as refusal:
        check_carry_over(graph_of(*pairs), STATE, types=TYPES, failed="b")
    assert (refusal.value.node_id, refusal.value.code) == (node_id, "node_gone")


@pytest.mark.parametrize(
    ("pairs", "node_id"),
    [
        # A node in front of the one that failed, of one that was skipped, of the entry.
        (("a>b", "a>c", "c>d", "b>d", "c>b"), "b"),
        (("a>b", "a>x", "x>c", "c>d", "b>d"), "c"),
        (("z>a", "a>b", "a>c", "c>d", "b>d"), "a"),
        # An edge more or less out of one that ended.
        (("a>b", "a>c", "c>d", "b>d", "a>x"), "a"),
        (("a>b", "a>c", "b>d"), "c"),
        # d waits for nothing but what was decided: nobody would ever open it.
        (("a>b", "a>c", "c>d"), "d"),
    ],
)
def test_what_was_decided_must_lead_to_the_same(pairs: tuple[str, ...], node_id: str) -> None:
    with pytest.raises(VersionIncompatible) as refusal:
        check_carry_over(graph_of(*pairs), STATE, types=TYPES, failed="b")
    assert (refusal.value.node_id, refusal.value.code) == (node_id, "version_incompatible")


def test_a_node_of_another_type_is_another_node() -> None:
    with pytest.raises(VersionIncompatible, match="another type"):
        check_carry_over(graph_of(*OLD, delays="b"), STATE, types=TYPES, failed="b")


def test_a_ready_node_counts_as_reached() -> None:
    state = RunState(ended={"a": SUCCEEDED, "b": FAILED}, edges={"a>b": True, "a>c": True}, ready={"c": Ready(NOON)})

    check_carry_over(graph_of("a>b", "a>c"), state, types=TYPES, failed="b")
    with pytest.raises(NodeGone, match="c"):
        check_carry_over(graph_of("a>b"), state, types=TYPES, failed="b")


def test_a_run_without_a_state_begins_at_the_entry_or_not_at_all() -> None:
    nothing = RunState({}, {}, {})

    check_carry_over(graph_of("a>b"), nothing, types=TYPES, failed="a")
    with pytest.raises(VersionIncompatible):
        check_carry_over(graph_of("b>a"), nothing, types=TYPES, failed="a")


# Most changes of a graph are refused, which is what the other tests are about.
@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_a_run_that_is_let_over_ends_each_node_of_the_newer_graph_once(data: st.DataObject) -> None:
    plan = data.draw(plans(may_fail=True, may_continue=True))
    moves = carry(plan, begun(plan))
    assume(bool(moves))
    state = moves[-1].after
    failed = engine.failed_node(state)
    assume(failed is not None)
    assert failed is not None
    newer = changed(plan.graph, data)
    types = {node_id: node.type for node_id, node in plan.graph.nodes.items()}
    try:
        check_carry_over(newer, state, types=types, failed=failed)
    except (NodeGone, VersionIncompatible):
        assume(False)

    keys = {edge.key for edges in newer.outgoing.values() for edge in edges}
    old_keys = {edge.key for edges in plan.graph.outgoing.values() for edge in edges}
    retries = {**dict.fromkeys(newer.nodes, ()), **plan.retries}
    mended = replace(plan, graph=newer, taken=plan.taken | (keys - old_keys), retries=retries, failing=frozenset())
    rest = carry(mended, engine.reopen(state, at=moves[-1].at, doubts_accepted=0), now=moves[-1].at)

    assert set(rest[-1].after.ended) == set(newer.nodes)
    assert not rest[-1].after.ready
    ended_before = set(state.ended) - {failed}
    assert not [move.node_id for move in rest if move.node_id in ended_before]


def changed(graph: Graph, data: st.DataObject) -> Graph:
    """Return the graph with an edge or two fewer or more, and perhaps a node behind the last."""
    pairs = [(edge.source, edge.target) for edges in graph.outgoing.values() for edge in edges]
    whole: networkx.DiGraph[str] = networkx.DiGraph(pairs)
    whole.add_nodes_from(graph.nodes)
    order = [*networkx.topological_sort(whole), "new"]
    for _ in range(data.draw(st.integers(0, 3))):
        source, target = sorted(data.draw(st.lists(st.sampled_from(range(len(order))), min_size=2, max_size=2)))
        pair = (order[source], order[target])
        if pair in pairs:
            pairs.remove(pair)
        elif source != target:
            pairs.append(pair)
    whole = networkx.DiGraph(pairs)
    whole.add_node(graph.entry)
    reached = networkx.descendants(whole, graph.entry) | {graph.entry}
    nodes = [node for node_id, node in graph.nodes.items() if node_id in reached]
    if "new" in reached:
        nodes.append(MessageNode("new", "email", {}))
    edges = [Edge(*pair) for pair in pairs if set(pair) <= reached]
    return build_graph(entry=graph.entry, nodes=nodes, edges=edges)
