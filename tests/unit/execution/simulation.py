"""A worker without a world: carries runs through the engine on a clock of its own, as `runner` does on the real one."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from execution import engine
from execution.engine import Outcome, Ready, RunState
from tests.unit.execution.graphs import WAITS, bytes_for, graphs
from workflows.graph import Graph
from workflows.nodes import DelayNode

BEGIN = datetime(2025, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Plan:
    """What will come of each node, decided beforehand.

    `taken` names the edges whose condition holds, `retries` the wait after each transient failure of a node, `failing`
    the nodes that fail for good after those, `continuing` those that let the run go on then, `took` how long each send
    takes.
    """

    graph: Graph
    taken: frozenset[str]
    retries: Mapping[str, tuple[timedelta, ...]]
    failing: frozenset[str] = frozenset()
    took: timedelta = timedelta(0)
    continuing: frozenset[str] = frozenset()

    def outcome(self, node_id: str, ready: Ready, *, now: datetime) -> Outcome:
        """Return what comes of the node when a worker looks at it."""
        node = self.graph.nodes[node_id]
        if isinstance(node, DelayNode):
            return engine.Succeeded(self.taken) if ready.is_waiting else engine.Waiting(ready.at + node.delay)
        if ready.failures < len(self.retries[node_id]):
            return engine.Retrying(now + self.retries[node_id][ready.failures])
        if node_id not in self.failing:
            return engine.Succeeded(self.taken)
        return engine.Continued(self.taken) if node_id in self.continuing else engine.Failed()

    def without_failure_of(self, *node_ids: str) -> "Plan":
        """Return the plan in which these nodes don't fail for good."""
        return replace(self, failing=self.failing - set(node_ids))


@dataclass(frozen=True)
class Move:
    """One look of the worker at one node: the node as it was ready, what came of it, the states around it."""

    node_id: str
    ready: Ready
    outcome: Outcome
    at: datetime
    before: RunState
    after: RunState

    @property
    def skipped(self) -> list[str]:
        """The nodes that this move found dead."""
        return engine.newly_skipped(self.before, self.after)

    @property
    def has_ended_node(self) -> bool:
        return isinstance(self.outcome, engine.Succeeded | engine.Failed | engine.Continued)


def begun(plan: Plan) -> RunState:
    return engine.start(plan.graph, at=BEGIN)


def carry(
    plan: Plan,
    state: RunState,
    *,
    now: datetime = BEGIN,
    between: Callable[[RunState], RunState] = lambda state: state,
) -> list[Move]:
    """Return the moves from `state` to where the run is over; `between` is done to the state after each."""
    return list(_moves(plan, state, now, between))


def _moves(plan: Plan, state: RunState, now: datetime, between: Callable[[RunState], RunState]) -> Iterator[Move]:
    while (found := engine.next_node(plan.graph, state)) is not None:
        node_id, ready = found
        now = max(now, ready.at)
        if not isinstance(plan.graph.nodes[node_id], DelayNode):
            now += plan.took
        outcome = plan.outcome(node_id, ready, now=now)
        after = engine.advance(plan.graph, state, node_id=node_id, outcome=outcome, at=now)
        yield Move(node_id, ready, outcome, now, state, after)
        state = between(after)


def stored(state: RunState) -> RunState:
    """Return the state as the next worker reads it; jsonb keeps no order of keys, so they come back in another."""
    return engine.from_json(json.loads(json.dumps(engine.to_json(state), sort_keys=True)))


@st.composite
def plans(draw: st.DrawFn, *, may_fail: bool = False, may_continue: bool = False) -> Plan:
    """Draw a graph and what comes of its nodes; with `may_continue` some may fail and the run goes on.

    Of a plan that may do both, some failures end the run.
    """
    graph = draw(graphs())
    nodes = list(graph.nodes)
    keys = [edge.key for edges in graph.outgoing.values() for edge in edges]
    taken = zip(keys, draw(bytes_for(len(keys))), strict=True)
    retries = zip(nodes, draw(bytes_for(len(nodes))), strict=True)
    failing = zip(nodes, draw(bytes_for(len(nodes))), strict=True) if may_fail or may_continue else ()
    continuing = zip(nodes, draw(bytes_for(len(nodes))), strict=True) if may_continue else ()
    return Plan(
        graph,
        taken=frozenset(key for key, number in taken if number < 160),
        retries={node_id: tuple([WAITS[number % 4]] * (number // 64)) for node_id, number in retries},
        failing=frozenset(node_id for node_id, number in failing if number >= 160),
        took=draw(st.sampled_from(WAITS)),
        continuing=frozenset(node_id for node_id, number in continuing if number >= 128 or not may_fail),
    )
