"""Runs that can be read: one small graph each, told as the nodes that are ready and the ends that came."""

from datetime import UTC, datetime, timedelta

import pytest

from execution import engine
from execution.engine import NodeEnd, Ready, RunState
from tests.unit.execution.graphs import graph_of
from workflows.graph import Graph

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

SUCCEEDED, SKIPPED, FAILED, CONTINUED = NodeEnd.SUCCEEDED, NodeEnd.SKIPPED, NodeEnd.FAILED, NodeEnd.CONTINUED


def succeed(graph: Graph, state: RunState, node_id: str, *taken: str, at: datetime = NOON) -> RunState:
    """Return the state after `node_id` succeeded; all its edges are taken unless some are named."""
    keys = frozenset(taken) or frozenset(edge.key for edge in graph.outgoing[node_id])
    return engine.advance(graph, state, node_id=node_id, outcome=engine.Succeeded(keys), at=at)


def fail(graph: Graph, state: RunState, node_id: str) -> RunState:
    return engine.advance(graph, state, node_id=node_id, outcome=engine.Failed(), at=NOON)


def next_id(graph: Graph, state: RunState) -> str | None:
    found = engine.next_node(graph, state)
    return None if found is None else found[0]


def test_a_run_begins_with_its_entry_node_ready() -> None:
    graph = graph_of("ab", "a>b")

    state = engine.start(graph, at=NOON)

    assert state == RunState(ended={}, edges={}, ready={"a": Ready(NOON)})
    assert engine.next_node(graph, state) == ("a", Ready(NOON))
    assert (state.is_over, state.has_failed) == (False, False)


def test_a_chain_runs_one_node_after_the_other() -> None:
    graph = graph_of("abc", "a>b", "b>c")
    state = engine.start(graph, at=NOON)

    state = succeed(graph, state, "a", at=NOON + SECOND)
    assert state.ready == {"b": Ready(NOON + SECOND)}
    state = succeed(graph, state, "b", at=NOON + 2 * SECOND)
    assert state.ready == {"c": Ready(NOON + 2 * SECOND)}
    state = succeed(graph, state, "c")

    assert state == RunState({"a": SUCCEEDED, "b": SUCCEEDED, "c": SUCCEEDED}, {"a>b": True, "b>c": True}, {})
    assert engine.next_node(graph, state) is None
    assert (state.is_over, state.has_failed) == (True, False)


def test_a_fan_out_takes_every_edge_whose_condition_holds() -> None:
    graph = graph_of("abcd", "a>b", "a>c", "a>d")

    state = succeed(graph, engine.start(graph, at=NOON), "a", "a>b", "a>d")

    assert list(state.ready) == ["b", "d"]
    assert state.edges == {"a>b": True, "a>c": False, "a>d": True}
    assert state.ended == {"a": SUCCEEDED, "c": SKIPPED}


def test_branches_of_a_fan_out_run_in_definition_order() -> None:
    graph = graph_of("adcb", "a>b", "a>c", "a>d")
    state = succeed(graph, engine.start(graph, at=NOON), "a")

    assert next_id(graph, state) == "d"
    state = succeed(graph, state, "d")
    assert next_id(graph, state) == "c"


def test_an_edge_that_leads_from_elsewhere_is_not_taken() -> None:
    graph = graph_of("abc", "a>b", "b>c")

    state = succeed(graph, engine.start(graph, at=NOON), "a", "a>b", "b>c", "x>y")

    assert state.edges == {"a>b": True}


def test_join_waits_for_every_live_parent() -> None:
    graph = graph_of("abcj", "a>b", "a>c", "b>j", "c>j")
    state = succeed(graph, engine.start(graph, at=NOON), "a")

    state = succeed(graph, state, "b")
    assert list(state.ready) == ["c"]
    state = succeed(graph, state, "c", at=NOON + SECOND)
    assert state.ready == {"j": Ready(NOON + SECOND)}


def test_a_diamond_with_a_dead_branch_joins_without_it() -> None:
    graph = graph_of("abcj", "a>b", "a>c", "b>j", "c>j")

    state = succeed(graph, engine.start(graph, at=NOON), "a", "a>b")
    state = succeed(graph, state, "b")

    assert state.ended == {"a": SUCCEEDED, "b": SUCCEEDED, "c": SKIPPED}
    assert state.edges == {"a>b": True, "a>c": False, "b>j": True, "c>j": False}
    assert list(state.ready) == ["j"]


def test_a_join_waits_even_when_its_first_parent_is_dead() -> None:
    graph = graph_of("abcj", "a>b", "a>c", "b>j", "c>j")

    state = succeed(graph, engine.start(graph, at=NOON), "a", "a>c")

    assert list(state.ready) == ["c"]
    assert state.ended == {"a": SUCCEEDED, "b": SKIPPED}


def test_a_join_of_dead_branches_is_skipped_and_so_are_its_edges() -> None:
    graph = graph_of("abcjz", "a>b", "a>c", "b>j", "c>j", "j>z", "a>z")
    before = engine.start(graph, at=NOON)

    after = succeed(graph, before, "a", "a>z")

    assert after.ended == {"a": SUCCEEDED, "b": SKIPPED, "c": SKIPPED, "j": SKIPPED}
    assert {after.edges[key] for key in ("b>j", "c>j", "j>z")} == {False}
    assert list(after.ready) == ["z"]
    assert engine.newly_skipped(before, after) == ["b", "c", "j"]


def test_a_run_whose_first_node_takes_no_edge_is_over() -> None:
    graph = graph_of("abc", "a>b", "b>c")

    state = succeed(graph, engine.start(graph, at=NOON), "a", "none")

    assert state.ended == {"a": SUCCEEDED, "b": SKIPPED, "c": SKIPPED}
    assert (state.is_over, state.has_failed) == (True, False)


def test_a_delay_holds_its_own_branch_and_lets_the_message_beside_it_go() -> None:
    graph = graph_of("adbm", "a>d", "d>b", "a>m", delays={"d": 60})
    state = succeed(graph, engine.start(graph, at=NOON), "a")

    until = NOON + timedelta(seconds=60)
    assert next_id(graph, state) == "d"
    state = engine.advance(graph, state, node_id="d", outcome=engine.Waiting(until), at=NOON)
    assert next_id(graph, state) == "m"
    state = succeed(graph, state, "m")

    assert engine.next_node(graph, state) == ("d", Ready(until, is_waiting=True))
    state = succeed(graph, state, "d", at=until)
    assert state.ready == {"b": Ready(until)}


def test_a_retry_lets_the_message_beside_it_go_first() -> None:
    graph = graph_of("amn", "a>m", "a>n")
    state = succeed(graph, engine.start(graph, at=NOON), "a")

    state = engine.advance(graph, state, node_id="m", outcome=engine.Retrying(NOON + SECOND), at=NOON)

    assert next_id(graph, state) == "n"
    state = succeed(graph, state, "n")
    assert engine.next_node(graph, state) == ("m", Ready(NOON + SECOND, failures=1, since=NOON))


def test_each_retry_counts_one_more_failure() -> None:
    graph = graph_of("a")
    state = engine.start(graph, at=NOON)

    for number in (1, 2, 3):
        at = NOON + number * SECOND
        state = engine.advance(graph, state, node_id="a", outcome=engine.Retrying(at), at=NOON)

    assert state.ready == {"a": Ready(NOON + 3 * SECOND, failures=3, since=NOON)}


def test_a_failure_ends_the_run_and_leaves_open_what_was_ready_beside_it() -> None:
    graph = graph_of("abcd", "a>b", "a>c", "b>d")
    state = succeed(graph, engine.start(graph, at=NOON), "a")

    state = fail(graph, state, "b")

    assert engine.next_node(graph, state) is None
    assert engine.failed_node(state) == "b"
    assert (state.is_over, state.has_failed) == (True, True)
    assert state == RunState({"a": SUCCEEDED, "b": FAILED}, {"a>b": True, "a>c": True}, {"c": Ready(NOON)}, NOON)


def test_a_redrive_opens_the_failed_node_with_all_its_attempts() -> None:
    graph = graph_of("abcd", "a>b", "a>c", "b>d")
    state = succeed(graph, engine.start(graph, at=NOON), "a")
    state = engine.advance(graph, state, node_id="b", outcome=engine.Retrying(NOON), at=NOON)
    state = fail(graph, state, "b")

    later = NOON + timedelta(days=1)
    state = engine.reopen(state, at=later, doubts_accepted=2)

    assert engine.failed_node(state) is None
    assert state.ended == {"a": SUCCEEDED}
    assert state.ready == {"c": Ready(NOON), "b": Ready(later, failures=0, doubts_accepted=2, since=NOON)}
    assert state.failed_since is None
    assert next_id(graph, state) == "c"
    state = succeed(graph, succeed(graph, succeed(graph, state, "c"), "b"), "d")
    assert state.ended == dict.fromkeys("acbd", SUCCEEDED)


def test_a_node_that_lets_the_run_go_on_leads_on_as_one_that_succeeded() -> None:
    graph = graph_of("abcd", "a>b", "a>c", "b>d")
    before = engine.start(graph, at=NOON)

    after = engine.advance(graph, before, node_id="a", outcome=engine.Continued(frozenset({"a>c"})), at=NOON + SECOND)

    assert after.ended == {"a": CONTINUED, "b": SKIPPED, "d": SKIPPED}
    assert after.edges == {"a>b": False, "a>c": True, "b>d": False}
    assert after.ready == {"c": Ready(NOON + SECOND)}
    assert (after.is_over, after.has_failed, engine.failed_node(after)) == (False, False, None)
    assert engine.continued_nodes(graph, after) == ["a"]
    assert engine.reopen(after, at=NOON, doubts_accepted=0) == after


def test_a_join_runs_on_what_failed_and_let_the_run_go_on() -> None:
    graph = graph_of("abcj", "a>b", "a>c", "b>j", "c>j")
    state = succeed(graph, engine.start(graph, at=NOON), "a")
    state = engine.advance(graph, state, node_id="b", outcome=engine.Continued(frozenset({"b>j"})), at=NOON)

    assert next_id(graph, state) == "c"
    state = succeed(graph, state, "c", "none")

    assert next_id(graph, state) == "j"


def test_a_node_stays_as_old_as_it_is_through_retries_and_a_redrive() -> None:
    graph = graph_of("a")
    state = engine.start(graph, at=NOON)
    for number in (1, 2):
        at = NOON + number * SECOND
        state = engine.advance(graph, state, node_id="a", outcome=engine.Retrying(at), at=NOON)
    state = engine.from_json(engine.to_json(fail(graph, state, "a")))

    state = engine.from_json(engine.to_json(engine.reopen(state, at=NOON + 9 * SECOND, doubts_accepted=0)))

    assert state.ready["a"] == Ready(NOON + 9 * SECOND, since=NOON)
    assert state.ready["a"].first_at == NOON


def test_accepted_doubts_outlast_a_retry() -> None:
    graph = graph_of("a")
    state = engine.reopen(fail(graph, engine.start(graph, at=NOON), "a"), at=NOON, doubts_accepted=2)

    state = engine.advance(graph, state, node_id="a", outcome=engine.Retrying(NOON + SECOND), at=NOON)

    assert state.ready == {"a": Ready(NOON + SECOND, failures=1, doubts_accepted=2, since=NOON)}


def test_a_redrive_of_a_run_that_has_not_failed_changes_nothing() -> None:
    state = engine.start(graph_of("a"), at=NOON)

    assert engine.reopen(state, at=NOON + SECOND, doubts_accepted=1) == state


@pytest.mark.parametrize(
    "outcome",
    [engine.Succeeded(), engine.Waiting(NOON), engine.Retrying(NOON), engine.Failed(), engine.Continued()],
    ids=lambda outcome: type(outcome).__name__,
)
@pytest.mark.parametrize("node_id", ["a", "b", "c", "x"], ids=["succeeded", "failed", "not reached", "unknown"])
def test_an_outcome_of_a_node_that_is_not_ready_is_refused(node_id: str, outcome: engine.Outcome) -> None:
    graph = graph_of("abc", "a>b", "b>c")
    state = fail(graph, succeed(graph, engine.start(graph, at=NOON), "a"), "b")

    with pytest.raises(engine.NodeNotReady):
        engine.advance(graph, state, node_id=node_id, outcome=outcome, at=NOON)


def test_stored_state_holds_only_what_differs_from_a_fresh_node() -> None:
    state = RunState(
        ended={"a": SUCCEEDED, "b": SKIPPED, "c": FAILED, "f": CONTINUED},
        edges={"a>b": False, "a>c": True},
        ready={"d": Ready(NOON), "e": Ready(NOON, failures=2, is_waiting=True, doubts_accepted=1, since=NOON)},
        failed_since=NOON,
    )

    stored = engine.to_json(state)

    assert stored == {
        "ended": {"a": "succeeded", "b": "skipped", "c": "failed", "f": "continued"},
        "edges": {"a>b": False, "a>c": True},
        "ready": {
            "d": {"at": "2025-03-01T12:00:00+00:00"},
            "e": {
                "at": "2025-03-01T12:00:00+00:00",
                "failures": 2,
                "is_waiting": True,
                "doubts_accepted": 1,
                "since": "2025-03-01T12:00:00+00:00",
            },
        },
        "failed_since": "2025-03-01T12:00:00+00:00",
    }
    assert engine.from_json(stored) == state


def test_stored_times_keep_their_microseconds() -> None:
    state = engine.start(graph_of("a"), at=NOON + timedelta(microseconds=123456))

    assert engine.from_json(engine.to_json(state)) == state
