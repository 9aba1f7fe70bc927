"""Which node runs next: (graph, state, outcome) -> state. Pure: times come from the caller (DESIGN section 4).

After a node succeeds its outgoing edges are decided, taken or dead. A node runs once all its incoming edges are
decided and one is taken; when all are dead it is skipped and its own edges are dead too. One node at a time runs in a
trigger: the ready one that may run earliest, ties in definition order. A node that fails for good ends the run; what
was ready beside it stays ready, for a redrive. A node that lets the run go on nevertheless (`on_failure: continue`)
leads on along its edges as one that succeeded (docs/adr/0011).
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from workflows.graph import Graph


class NodeEnd(StrEnum):
    """How a node ended; once it has, it never runs again, unless a failed one is redriven."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CONTINUED = "continued"  # failed for good, and the run went on


class Ready(Struct, frozen=True):
    """A node that may run from `at` on, and might from `since` on, before it was tried in vain; None means `at`.

    `failures` counts its failed attempts, `is_waiting` is a delay that has begun and ends at `at`, and
    `doubts_accepted` says how many doubtful sends a person knew of when redriving it.
    """

    at: datetime
    failures: int = 0
    is_waiting: bool = False
    doubts_accepted: int = 0
    since: datetime | None = None

    @property
    def first_at(self) -> datetime:
        """When the node first became ready: what its time to live counts from."""
        return self.since or self.at


class RunState(Struct, frozen=True):
    """How far a run has got: the nodes that ended, the edges decided (True: taken), the nodes that are ready.

    `failed_since` is when the node that ended the run first became ready.
    """

    ended: Mapping[str, NodeEnd]
    edges: Mapping[str, bool]
    ready: Mapping[str, Ready]
    failed_since: datetime | None = None

    @property
    def has_failed(self) -> bool:
        """Whether a node failed for good."""
        return NodeEnd.FAILED in self.ended.values()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will run."""
        return not self.ready or self.has_failed


class Succeeded(Struct, frozen=True):
    """The node did its work; `taken` are the keys of the outgoing edges whose condition holds."""

    taken: frozenset[str] = frozenset()


class Waiting(Struct, frozen=True):
    """The node is a delay that has begun and ends at `until`."""

    until: datetime


class Retrying(Struct, frozen=True):
    """The attempt failed; the node may run again at `at`."""

    at: datetime


class Failed(Struct, frozen=True):
    """The node failed for good, and with it the run."""


class Continued(Struct, frozen=True):
    """The node failed for good and the run goes on along `taken`, the keys of the edges whose condition holds."""

    taken: frozenset[str] = frozenset()


Outcome = Succeeded | Waiting | Retrying | Failed | Continued


class NodeNotReady(Exception):
    """An outcome came for a node that the state does not hold as ready."""


def start(graph: Graph, *, at: datetime, since: datetime | None = None) -> RunState:
    """Return the state of a run whose entry node may run from `at` on, and might before, from `since` on."""
    return RunState(ended={}, edges={}, ready={graph.entry: Ready(at, since=since)})


def next_node(graph: Graph, state: RunState) -> tuple[str, Ready] | None:
    """Return the node to run next and since when it may, or None when the run is over."""
    if state.is_over:
        return None
    if len(state.ready) == 1:
        return next(iter(state.ready.items()))
    node_id = min(state.ready, key=lambda ready: (state.ready[ready].at, graph.position[ready]))
    return node_id, state.ready[node_id]


def advance(graph: Graph, state: RunState, *, node_id: str, outcome: Outcome, at: datetime) -> RunState:
    """Return the state after `outcome` of a ready node; nodes that it opens may run from `at` on.

    Raises NodeNotReady when the node is not ready, as when it ended before.
    """
    if node_id not in state.ready:
        raise NodeNotReady(node_id)
    ready = dict(state.ready)
    match outcome:
        case Waiting(until):
            ready[node_id] = Ready(until, is_waiting=True)
            return replace(state, ready=ready)
        case Retrying(retry_at):
            tried = ready[node_id]
            ready[node_id] = replace(tried, at=retry_at, failures=tried.failures + 1, since=tried.first_at)
            return replace(state, ready=ready)
        case Failed():
            since = ready.pop(node_id).first_at
            return replace(state, ready=ready, ended={**state.ended, node_id: NodeEnd.FAILED}, failed_since=since)
        case Succeeded(taken) | Continued(taken):
            del ready[node_id]
            edges = dict(state.edges)
            for edge in graph.outgoing[node_id]:
                edges[edge.key] = edge.key in taken
            end = NodeEnd.SUCCEEDED if isinstance(outcome, Succeeded) else NodeEnd.CONTINUED
            ended = {**state.ended, node_id: end}
            _open_and_skip(graph, ended, edges, ready, after=node_id, at=at)
            return RunState(ended, edges, ready)


def failed_node(state: RunState) -> str | None:
    """Return the node that ended the run by failing, if one did; there is at most one."""
    return next((node_id for node_id, end in state.ended.items() if end is NodeEnd.FAILED), None)


def continued_nodes(graph: Graph, state: RunState) -> list[str]:
    """Return the nodes that failed for good while the run went on, in definition order."""
    return [node_id for node_id in graph.nodes if state.ended.get(node_id) is NodeEnd.CONTINUED]


def reopen(state: RunState, *, at: datetime, doubts_accepted: int) -> RunState:
    """Return the state in which the failed node may run again from `at` on, with all its attempts: a redrive.

    Its time to live goes on from where it began: what is late stays late.
    """
    failed = failed_node(state)
    if failed is None:
        return state
    ended = {node_id: end for node_id, end in state.ended.items() if node_id != failed}
    again = Ready(at, doubts_accepted=doubts_accepted, since=state.failed_since)
    return replace(state, ended=ended, ready={**state.ready, failed: again}, failed_since=None)


def newly_skipped(before: RunState, after: RunState) -> list[str]:
    """Return the nodes that were found dead between two states, in the order they were found."""
    return [n for n, end in after.ended.items() if end is NodeEnd.SKIPPED and n not in before.ended]


def _open_and_skip(
    graph: Graph,
    ended: dict[str, NodeEnd],
    edges: dict[str, bool],
    ready: dict[str, Ready],
    *,
    after: str,
    at: datetime,
) -> None:
    """Follow the edges of the node that just ended: open what is fully decided, skip what is dead."""
    to_look_at = deque(edge.target for edge in graph.outgoing[after])
    while to_look_at:
        node_id = to_look_at.popleft()
        if node_id in ended or node_id in ready:
            continue
        decided = [edges.get(edge.key) for edge in graph.incoming[node_id]]
        if None in decided:
            continue
        if True in decided:
            ready[node_id] = Ready(at)
        else:
            ended[node_id] = NodeEnd.SKIPPED
            edges.update((edge.key, False) for edge in graph.outgoing[node_id])
            to_look_at.extend(edge.target for edge in graph.outgoing[node_id])


def to_json(state: RunState) -> dict[str, Any]:
    """Return the state as JSON for `Trigger.run_state`; `from_json` gives back an equal state."""
    stored: dict[str, Any] = {
        "ended": {node_id: end.value for node_id, end in state.ended.items()},
        "edges": dict(state.edges),
        "ready": {node_id: _ready_to_json(ready) for node_id, ready in state.ready.items()},
    }
    if state.failed_since is not None:
        stored["failed_since"] = state.failed_since.isoformat()
    return stored


def from_json(stored: Mapping[str, Any]) -> RunState:
    """Read what `to_json` wrote."""
    return RunState(
        ended={node_id: NodeEnd(end) for node_id, end in stored["ended"].items()},
        edges=dict(stored["edges"]),
        ready={node_id: _ready_from_json(ready) for node_id, ready in stored["ready"].items()},
        failed_since=_moment(stored.get("failed_since")),
    )


def _ready_from_json(stored: Mapping[str, Any]) -> Ready:
    return Ready(**{**stored, "at": datetime.fromisoformat(stored["at"]), "since": _moment(stored.get("since"))})


def _moment(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored)


def _ready_to_json(ready: Ready) -> dict[str, Any]:
    """Write only what differs from a fresh node's, since this is stored with every move."""
    stored: dict[str, Any] = {"at": ready.at.isoformat()}
    for name in ("failures", "is_waiting", "doubts_accepted"):
        if value := getattr(ready, name):
            stored[name] = value
    if ready.since is not None:
        stored["since"] = ready.since.isoformat()
    return stored
