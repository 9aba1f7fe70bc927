"""What holds for every graph and every course of a run (DESIGN sections 4 and 7)."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given

from execution import engine
from execution.engine import NodeEnd, RunState
from tests.unit.execution.simulation import BEGIN, Move, Plan, begun, carry, plans, stored
from workflows.graph import Graph, build_graph
from workflows.nodes import DelayNode

HOUR = timedelta(hours=1)
# A node that ended so leads on along its edges.
LEADING_ON = {NodeEnd.SUCCEEDED, NodeEnd.CONTINUED}


def expected_ends(plan: Plan) -> dict[str, NodeEnd]:
    """Return how each node must end: by what the words taken and dead mean, not by walking as the engine does."""
    ends: dict[str, NodeEnd] = {}
    while len(ends) < len(plan.graph.nodes):
        for node_id in plan.graph.nodes.keys() - ends.keys():
            incoming = plan.graph.incoming[node_id]
            if any(edge.source not in ends for edge in incoming):
                continue
            is_live = node_id == plan.graph.entry or any(
                edge.key in plan.taken and ends[edge.source] in LEADING_ON for edge in incoming
            )
            ends[node_id] = live_end(plan, node_id) if is_live else NodeEnd.SKIPPED
    return ends


def live_end(plan: Plan, node_id: str) -> NodeEnd:
    """Return how a node that is reached ends; one that ends the run counts as mended by a redrive."""
    is_message = not isinstance(plan.graph.nodes[node_id], DelayNode)
    goes_on = is_message and node_id in plan.failing & plan.continuing
    return NodeEnd.CONTINUED if goes_on else NodeEnd.SUCCEEDED


def expected_times(plan: Plan) -> dict[str, datetime]:
    """Return when each node must end where sends take no time: after its own waits, counted from its last parent."""
    ends, times = expected_ends(plan), dict[str, datetime]()
    while len(times) < len(ends):
        for node_id in ends.keys() - times.keys():
            parents = [edge.source for edge in plan.graph.incoming[node_id]]
            if any(parent not in times for parent in parents):
                continue
            node = plan.graph.nodes[node_id]
            own = node.delay if isinstance(node, DelayNode) else sum(plan.retries[node_id], timedelta(0))
            reached = max((times[parent] for parent in parents), default=BEGIN)
            times[node_id] = reached + own if ends[node_id] in LEADING_ON else reached
    return times


def times_ended(moves: list[Move]) -> Counter[str]:
    """Count how often each node ended in these moves."""
    return Counter(
        node_id for move in moves for node_id in [*([move.node_id] if move.has_ended_node else []), *move.skipped]
    )


def last_state(plan: Plan, moves: list[Move]) -> RunState:
    return moves[-1].after if moves else begun(plan)


def redriven_to_the_end(plan: Plan) -> list[Move]:
    """Return the moves of a run that is redriven an hour after each failure, with the failed node mended."""
    moves = carry(plan, begun(plan))
    while (failed := engine.failed_node(moves[-1].after)) is not None:
        plan = plan.without_failure_of(failed)
        at = moves[-1].at + HOUR
        moves += carry(plan, engine.reopen(moves[-1].after, at=at, doubts_accepted=0), now=at)
    return moves


@given(plans(may_continue=True))
def test_every_node_ends_exactly_once(plan: Plan) -> None:
    moves = carry(plan, begun(plan))

    assert times_ended(moves) == Counter(list(plan.graph.nodes))
    assert moves[-1].after.ended == expected_ends(plan)
    assert moves[-1].after.ready == {}


@given(plans(may_continue=True))
def test_every_edge_is_decided_once_the_run_is_over(plan: Plan) -> None:
    end = carry(plan, begun(plan))[-1].after

    assert end.edges == {
        edge.key: end.ended[node_id] in LEADING_ON and edge.key in plan.taken
        for node_id, edges in plan.graph.outgoing.items()
        for edge in edges
    }


@given(plans(may_fail=True, may_continue=True))
def test_a_failure_for_good_ends_the_run_at_once(plan: Plan) -> None:
    moves = carry(plan, begun(plan))

    failures = [move for move in moves if isinstance(move.outcome, engine.Failed)]
    assert failures in ([], [moves[-1]])
    assert max(times_ended(moves).values()) == 1
    if failures:
        assert (moves[-1].after.has_failed, moves[-1].after.is_over) == (True, True)
        assert engine.failed_node(moves[-1].after) == moves[-1].node_id
        assert engine.next_node(plan.graph, moves[-1].after) is None
        assert moves[-1].skipped == []


@given(plans(may_fail=True, may_continue=True))
def test_the_nodes_that_failed_while_the_run_went_on_are_named_in_definition_order(plan: Plan) -> None:
    end = redriven_to_the_end(plan)[-1].after

    reached = {node_id for node_id, how in expected_ends(plan).items() if how is NodeEnd.CONTINUED}
    assert engine.continued_nodes(plan.graph, end) == [node_id for node_id in plan.graph.nodes if node_id in reached]


@given(plans(may_fail=True, may_continue=True))
def test_a_node_stays_as_old_as_it_is_through_retries_and_redrives(plan: Plan) -> None:
    opened: dict[str, datetime] = {plan.graph.entry: BEGIN}

    for move in redriven_to_the_end(plan):
        if not move.ready.is_waiting:
            assert move.ready.first_at == opened[move.node_id]
        opened |= {node_id: ready.at for node_id, ready in new_ready(move).items()}


@given(plans(may_fail=True, may_continue=True))
def test_redrives_carry_a_failed_run_to_the_end_of_one_that_never_failed(plan: Plan) -> None:
    moves = redriven_to_the_end(plan)

    without_failures = [move for move in moves if not isinstance(move.outcome, engine.Failed)]
    assert times_ended(without_failures) == Counter(list(plan.graph.nodes))
    assert moves[-1].after.ended == expected_ends(plan)


@given(plans(may_fail=True, may_continue=True))
def test_a_node_that_ended_never_runs_again_unless_it_is_redriven(plan: Plan) -> None:
    succeeded: set[str] = set()

    for move in redriven_to_the_end(plan):
        assert move.node_id not in succeeded
        assert succeeded.isdisjoint(move.after.ready)
        if isinstance(move.outcome, engine.Succeeded | engine.Continued):
            succeeded.add(move.node_id)


@given(plans(may_fail=True, may_continue=True))
def test_nothing_is_ready_before_every_incoming_edge_is_decided_and_one_is_taken(plan: Plan) -> None:
    for move in redriven_to_the_end(plan):
        for node_id in move.after.ready.keys() - {plan.graph.entry}:
            incoming = plan.graph.incoming[node_id]
            decided = [move.after.edges[edge.key] for edge in incoming]
            assert any(decided)
            assert {move.after.ended[edge.source] for edge in incoming} <= {*LEADING_ON, NodeEnd.SKIPPED}


@given(plans(may_fail=True, may_continue=True))
def test_a_node_is_skipped_as_soon_as_all_its_incoming_edges_are_dead(plan: Plan) -> None:
    for move in redriven_to_the_end(plan):
        dead = {
            node_id
            for node_id, incoming in plan.graph.incoming.items()
            if incoming and all(move.after.edges.get(edge.key) is False for edge in incoming)
        }
        assert {node_id for node_id, end in move.after.ended.items() if end is NodeEnd.SKIPPED} == dead


@given(plans(may_continue=True))
def test_the_earliest_ready_node_runs_first_and_ties_in_definition_order(plan: Plan) -> None:
    for move in carry(plan, begun(plan)):
        order = sorted(
            (ready.at, list(plan.graph.nodes).index(node_id)) for node_id, ready in move.before.ready.items()
        )
        assert (move.ready.at, list(plan.graph.nodes).index(move.node_id)) == order[0]


@given(plans(may_continue=True))
def test_a_delay_or_a_retry_holds_only_its_own_branch(plan: Plan) -> None:
    instant = replace(plan, took=timedelta(0))

    moves = carry(instant, begun(instant))

    ended_at = {
        node_id: move.at
        for move in moves
        for node_id in [*([move.node_id] if move.has_ended_node else []), *move.skipped]
    }
    assert ended_at == expected_times(instant)


@given(plans(may_continue=True))
def test_a_node_may_run_from_the_moment_its_last_incoming_edge_is_decided(plan: Plan) -> None:
    moves = carry(plan, begun(plan))

    opened = {node_id: (move.at, ready.at) for move in moves for node_id, ready in new_ready(move).items()}
    assert [since for since, at in opened.values()] == [at for since, at in opened.values()]
    assert opened.keys() == {n for n, end in expected_ends(plan).items() if end in LEADING_ON} - {plan.graph.entry}


def new_ready(move: Move) -> dict[str, engine.Ready]:
    return {node_id: ready for node_id, ready in move.after.ready.items() if node_id not in move.before.ready}


@given(plans(may_fail=True, may_continue=True))
def test_failed_attempts_are_counted_until_the_node_ends(plan: Plan) -> None:
    attempts: Counter[str] = Counter()

    for move in carry(plan, begun(plan)):
        assert move.ready.failures == attempts[move.node_id]
        attempts[move.node_id] += isinstance(move.outcome, engine.Retrying)


@given(plans(may_fail=True, may_continue=True))
def test_the_order_in_which_edges_are_listed_changes_nothing(plan: Plan) -> None:
    moves = carry(plan, begun(plan))

    turned = carry(replace(plan, graph=reversed_edges(plan.graph)), begun(plan))

    assert [(move.node_id, move.at, move.after) for move in turned] == [
        (move.node_id, move.at, move.after) for move in moves
    ]


def reversed_edges(graph: Graph) -> Graph:
    edges = [edge for found in graph.outgoing.values() for edge in found]
    return build_graph(entry=graph.entry, nodes=graph.nodes.values(), edges=reversed(edges))


@given(plans(may_fail=True, may_continue=True))
def test_resuming_from_the_stored_state_after_every_move_changes_nothing(plan: Plan) -> None:
    assert carry(plan, stored(begun(plan)), between=stored) == carry(plan, begun(plan))


@given(plans(may_fail=True, may_continue=True))
def test_a_redrive_from_the_stored_state_changes_nothing(plan: Plan) -> None:
    end = last_state(plan, carry(plan, begun(plan)))
    mended = plan.without_failure_of(*plan.graph.nodes)
    at = BEGIN + 1000 * HOUR

    in_memory = carry(mended, engine.reopen(end, at=at, doubts_accepted=2), now=at)
    resumed = carry(mended, stored(engine.reopen(stored(end), at=at, doubts_accepted=2)), now=at, between=stored)

    assert resumed == in_memory


@given(plans(may_fail=True, may_continue=True))
def test_an_outcome_of_a_node_that_is_not_ready_is_refused(plan: Plan) -> None:
    outcomes: list[engine.Outcome] = [
        engine.Succeeded(plan.taken),
        engine.Waiting(BEGIN),
        engine.Retrying(BEGIN),
        engine.Failed(),
        engine.Continued(plan.taken),
    ]

    for move in carry(plan, begun(plan)):
        for node_id in plan.graph.nodes.keys() - move.after.ready.keys():
            for outcome in outcomes:
                with pytest.raises(engine.NodeNotReady):
                    engine.advance(plan.graph, move.after, node_id=node_id, outcome=outcome, at=BEGIN)


@given(plans(may_fail=True, may_continue=True))
def test_no_move_changes_the_state_that_it_starts_from(plan: Plan) -> None:
    state = begun(plan)

    for move in carry(plan, state):
        before = engine.to_json(move.before)
        engine.advance(plan.graph, move.before, node_id=move.node_id, outcome=move.outcome, at=move.at)
        assert engine.to_json(move.before) == before
