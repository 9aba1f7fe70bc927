"""What `verify` finds wrong with one trigger: nothing in what the engine makes, every fault in what it can't make."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution import engine
from execution.states import StepStatus
from execution.verification.findings import Kind, Limits, StepFacts, TriggerFacts
from execution.verification.rules import check_trigger
from tests.unit.execution.graphs import graph_of
from tests.unit.execution.simulation import BEGIN, Move, Plan, begun, carry, plans
from triggers.states import FINISHED, TriggerStatus
from workflows.graph import Graph
from workflows.nodes import DelayNode
from workflows.priorities import Priority

WORKFLOW, TRIGGER, CLAIM = UUID(int=1), UUID(int=2), UUID(int=3)
SECOND, HOUR, YEARS = timedelta(seconds=1), timedelta(hours=1), timedelta(days=10_000)
LATE = BEGIN + YEARS
LIMITS = Limits(
    now=LATE, lease=timedelta(minutes=1), lease_grace=SECOND, overdue=2 * YEARS, longest_run=HOUR, skew=SECOND
)
# Two branches, one of them through a delay, meet in d; only the one over b was taken, and c is skipped.
DIAMOND = graph_of("abcde", "a>b", "a>c", "b>d", "c>d", "d>e", delays={"e": 5})


def trigger_of(state: engine.RunState, graph: Graph, **more: Any) -> TriggerFacts:
    """Return the trigger whose state this is, as `recording` leaves it."""
    following, failed = engine.next_node(graph, state), engine.failed_node(state)
    status = (
        TriggerStatus.ENQUEUED if following else TriggerStatus.COMPLETED if failed is None else TriggerStatus.FAILED
    )
    facts = TriggerFacts(
        id=TRIGGER,
        workflow_id=WORKFLOW,
        version_workflow_id=WORKFLOW,
        status=status,
        priority=Priority.MEDIUM,
        current_node_id=following[0] if following else failed or "",
        available_at=following[1].at if following else BEGIN,
        updated_at=BEGIN,
        claim_id=None,
        lease_expires_at=None,
        completed_at=LATE if status in FINISHED else None,
        run_state=engine.to_json(state),
        has_error=failed is not None,
        open_letters=int(failed is not None),
    )
    return replace(facts, **more)


def steps_of(graph: Graph, moves: list[Move], took: timedelta = timedelta(0)) -> list[StepFacts]:
    """Return the steps that a worker leaves behind with these moves."""
    steps: dict[tuple[str, int], StepFacts] = {}

    def keep(node_id: str, attempt: int, status: StepStatus, **times: Any) -> None:
        steps[node_id, attempt] = StepFacts(WORKFLOW, node_id, graph.nodes[node_id].type, attempt, status, **times)

    for move in moves:
        node_id = move.node_id
        if isinstance(graph.nodes[node_id], DelayNode):
            if isinstance(move.outcome, engine.Waiting):
                keep(node_id, 1, StepStatus.WAITING, started_at=move.ready.at)
            else:
                begun_at = steps[node_id, 1].started_at
                keep(node_id, 1, StepStatus.SUCCEEDED, started_at=begun_at, finished_at=move.at)
        else:
            status = StepStatus.SUCCEEDED if isinstance(move.outcome, engine.Succeeded) else StepStatus.FAILED
            keep(node_id, move.ready.failures + 1, status, started_at=move.at - took, finished_at=move.at)
        for skipped in move.skipped:
            keep(skipped, 0, StepStatus.SKIPPED, started_at=move.at, finished_at=move.at)
    return list(steps.values())


def kinds(graph: Graph | None, trigger: TriggerFacts, steps: list[StepFacts], limits: Limits = LIMITS) -> set[Kind]:
    found = check_trigger(graph, trigger, steps, limits)
    assert all(finding.trigger_id == TRIGGER and finding.sentence.endswith(".") for finding in found)
    return {finding.kind for finding in found}


@given(plans(may_fail=True))
def test_nothing_is_wrong_with_what_the_engine_makes_however_far_it_has_got(plan: Plan) -> None:
    moves = carry(plan, begun(plan))

    for count in range(len(moves) + 1):
        state = moves[count - 1].after if count else begun(plan)
        steps = steps_of(plan.graph, moves[:count], plan.took)
        assert check_trigger(plan.graph, trigger_of(state, plan.graph), steps, LIMITS) == []


@given(plans(may_fail=True), st.data())
def test_a_step_that_is_lost_is_missed(plan: Plan, data: st.DataObject) -> None:
    moves = carry(plan, begun(plan))
    end = moves[-1].after
    trigger, steps = trigger_of(end, plan.graph), steps_of(plan.graph, moves, plan.took)
    lost = data.draw(st.sampled_from(steps))
    left = [step for step in steps if step != lost]
    # The last of several attempts that failed can be lost without a trace, once nothing counts them any more.
    is_counted = lost.node_id in end.ready
    is_traceless = (
        lost.status == StepStatus.FAILED
        and not is_counted
        and any(step.node_id == lost.node_id and step.attempt < lost.attempt for step in steps)
    )
    is_followed = any(step.node_id == lost.node_id and step.attempt > lost.attempt for step in steps)

    assert bool(kinds(plan.graph, trigger, left)) is (not is_traceless or is_followed)


@given(plans(may_fail=True), st.data())
def test_a_state_from_which_something_is_lost_is_no_state_that_can_be(plan: Plan, data: st.DataObject) -> None:
    moves = carry(plan, begun(plan))
    end = moves[-1].after
    stored: dict[str, Any] = engine.to_json(end)
    part = data.draw(st.sampled_from([name for name in ("ended", "edges", "ready") if stored[name]]))
    name = data.draw(st.sampled_from(sorted(stored[part])))
    broken = {**stored, part: {key: value for key, value in stored[part].items() if key != name}}

    trigger = replace(trigger_of(end, plan.graph), run_state=broken)
    assert Kind.STATE_AGAINST_GRAPH in kinds(plan.graph, trigger, steps_of(plan.graph, moves, plan.took))


def test_only_what_needs_no_graph_is_checked_without_one() -> None:
    trigger, steps = diamond()

    assert kinds(None, replace(trigger, run_state={}), [*steps, replace(steps[0], node_id="z")]) == set()
    assert kinds(None, replace(trigger, completed_at=None), steps) == {Kind.END_AGAINST_STATUS}


def diamond(moves: int = 5) -> tuple[TriggerFacts, list[StepFacts]]:
    """Return a run through the diamond after so many moves: a, b, d, the delay e begun, e ended."""
    plan = Plan(DIAMOND, frozenset({"a>b", "b>d", "d>e"}), dict.fromkeys("abcde", ()))
    made = carry(plan, begun(plan))[:moves]
    return trigger_of(made[-1].after, DIAMOND), steps_of(DIAMOND, made)


def failed_run() -> tuple[TriggerFacts, list[StepFacts]]:
    """Return a run whose second node failed for good."""
    plan = Plan(DIAMOND, frozenset({"a>b"}), dict.fromkeys("abcde", ()), failing=frozenset("b"))
    made = carry(plan, begun(plan))
    return trigger_of(made[-1].after, DIAMOND), steps_of(DIAMOND, made)


def canceled_in_delay() -> tuple[TriggerFacts, list[StepFacts]]:
    """Return a run that was canceled while it waited in its delay."""
    trigger, steps = diamond(4)
    ended = [
        replace(step, status=StepStatus.SKIPPED, finished_at=LATE) if step.status == StepStatus.WAITING else step
        for step in steps
    ]
    return replace(trigger, status=TriggerStatus.CANCELED, completed_at=LATE), ended


@pytest.mark.parametrize("run", [diamond, failed_run, canceled_in_delay])
def test_these_runs_are_as_they_should_be(run: Callable[[], tuple[TriggerFacts, list[StepFacts]]]) -> None:
    assert kinds(DIAMOND, *run()) == set()


HELD: dict[str, Any] = {"status": TriggerStatus.PROCESSING, "claim_id": CLAIM, "lease_expires_at": LATE + 30 * SECOND}
OVER: dict[str, Any] = {"status": TriggerStatus.COMPLETED, "completed_at": LATE}
STRANGE = {"ended": {}, "edges": {}, "ready": {"z": {"at": "2025-01-01"}}}
Run = Callable[[], tuple[TriggerFacts, list[StepFacts]]]


def waiting() -> tuple[TriggerFacts, list[StepFacts]]:
    """Return a run that waits in its delay, the last of its nodes."""
    return diamond(4)


# From which run, what is changed of its trigger, and what must be found then.
TRIGGER_FAULTS: dict[str, tuple[Kind, Run, dict[str, Any]]] = {
    "of another workflow": (Kind.VERSION_OF_OTHER_WORKFLOW, diamond, {"version_workflow_id": uuid4()}),
    "claimed and over": (Kind.CLAIM_AGAINST_STATUS, diamond, {"claim_id": CLAIM}),
    "leased and over": (Kind.CLAIM_AGAINST_STATUS, diamond, {"lease_expires_at": LATE}),
    "in process of nobody": (Kind.CLAIM_AGAINST_STATUS, waiting, {**HELD, "claim_id": None}),
    "over since never": (Kind.END_AGAINST_STATUS, diamond, {"completed_at": None}),
    "under way and over": (Kind.END_AGAINST_STATUS, waiting, {"completed_at": LATE}),
    "overdue": (Kind.LEASE_OVERDUE, waiting, {**HELD, "lease_expires_at": LATE - 2 * SECOND}),
    "leased for ever": (Kind.LEASE_TOO_LONG, waiting, {**HELD, "lease_expires_at": LATE + HOUR}),
    "failed for no reason": (Kind.ERROR_MISSING, failed_run, {"has_error": False}),
    "failed and forgotten": (Kind.DEAD_LETTER_MISSING, failed_run, {"open_letters": 0}),
    "mourned alive": (Kind.DEAD_LETTER_WITHOUT_FAILURE, waiting, {"open_letters": 1}),
    "mourned twice": (Kind.DEAD_LETTER_WITHOUT_FAILURE, failed_run, {"open_letters": 2}),
    "no state": (Kind.STATE_UNREADABLE, diamond, {"run_state": {"ended": []}}),
    "a strange node": (Kind.STATE_AGAINST_GRAPH, waiting, {"run_state": STRANGE}),
    "completed too soon": (Kind.STATUS_AGAINST_STATE, waiting, OVER),
    "completed in failure": (Kind.STATUS_AGAINST_STATE, failed_run, {**OVER, "open_letters": 0}),
    "with nothing to do": (Kind.STATUS_AGAINST_STATE, diamond, HELD | {"completed_at": None}),
    "at another node": (Kind.NODE_AGAINST_STATE, waiting, {"current_node_id": "b"}),
    "failed at another node": (Kind.NODE_AGAINST_STATE, failed_run, {"current_node_id": "a"}),
    "before the delay is over": (Kind.TOO_EARLY, waiting, {"available_at": BEGIN}),
}


@pytest.mark.parametrize("name", TRIGGER_FAULTS)
def test_what_a_trigger_can_not_be_is_found(name: str) -> None:
    kind, run, changes = TRIGGER_FAULTS[name]
    trigger, steps = run()

    assert kinds(DIAMOND, replace(trigger, **changes), steps) == {kind}


def test_a_trigger_that_is_held_is_as_it_should_be() -> None:
    trigger, steps = waiting()

    assert kinds(DIAMOND, replace(trigger, **HELD), steps) == set()


def test_a_trigger_can_not_be_completed_without_a_state() -> None:
    trigger, steps = diamond()

    assert Kind.STATUS_AGAINST_STATE in kinds(DIAMOND, replace(trigger, run_state=None), steps)


def step(steps: list[StepFacts], node_id: str) -> StepFacts:
    return next(each for each in steps if each.node_id == node_id)


def changed(steps: list[StepFacts], node_id: str, **changes: Any) -> list[StepFacts]:
    return [replace(each, **changes) if each.node_id == node_id else each for each in steps]


def more(steps: list[StepFacts], like: str, /, **changes: Any) -> list[StepFacts]:
    return [*steps, replace(step(steps, like), **changes)]


Steps = list[StepFacts]
RUNNING: dict[str, Any] = {"status": StepStatus.RUNNING, "finished_at": None}
# From which run, what is done to its steps, and what must be found then: this and nothing else.
STEP_FAULTS: dict[str, tuple[Kind, Run, Callable[[Steps], Steps]]] = {
    "of another workflow": (
        Kind.STEP_OF_OTHER_WORKFLOW, diamond, lambda steps: changed(steps, "b", workflow_id=uuid4())),
    "of no node": (Kind.STEP_OF_UNKNOWN_NODE, diamond, lambda steps: more(steps, "b", node_id="z")),
    "of another type": (Kind.STEP_OF_UNKNOWN_NODE, diamond, lambda steps: changed(steps, "b", node_type="sms")),
    "ahead of its branch": (
        Kind.STEP_OF_UNREACHED_NODE, lambda: diamond(2),
        lambda steps: more(steps, "b", node_id="e", node_type="delay")),
    "twice": (Kind.SUCCEEDED_TWICE, diamond, lambda steps: more(steps, "b", attempt=2)),
    "in name only": (
        Kind.SUCCEEDED_WITHOUT_STEP, diamond, lambda steps: changed(steps, "b", status=StepStatus.IN_DOUBT)),
    "failed without a try": (
        Kind.FAILED_WITHOUT_STEP, failed_run, lambda steps: [each for each in steps if each.node_id != "b"]),
    "sent on a dead branch": (
        Kind.SKIPPED_BUT_SENT, diamond, lambda steps: more(steps, "c", attempt=1, status=StepStatus.FAILED)),
    "skipped unsaid": (
        Kind.SKIPPED_WITHOUT_STEP, diamond, lambda steps: [each for each in steps if each.node_id != "c"]),
    "waiting for nothing": (
        Kind.WAITING_AGAINST_STATE, lambda: diamond(3),
        lambda steps: more(steps, "b", node_id="e", node_type="delay", status=StepStatus.WAITING, finished_at=None)),
    "waiting unsaid": (
        Kind.WAITING_AGAINST_STATE, lambda: diamond(4), lambda steps: [each for each in steps if each.node_id != "e"]),
    "waiting after the cancel": (
        Kind.WAITING_AGAINST_STATE, canceled_in_delay,
        lambda steps: changed(steps, "e", status=StepStatus.WAITING, finished_at=None)),
    "with a hole": (Kind.ATTEMPTS_BROKEN, diamond, lambda steps: changed(steps, "b", attempt=2)),
    "counted twice": (
        Kind.ATTEMPTS_BROKEN, diamond, lambda steps: more(steps, "b", status=StepStatus.FAILED)),
    "for hours": (Kind.RUNNING_TOO_LONG, lambda: diamond(2), lambda steps: more(steps, "b", node_id="d", **RUNNING)),
    "side by side": (
        Kind.TWO_AT_ONCE, lambda: diamond(2),
        lambda steps: [*steps, *[replace(step(steps, "b"), node_id="d", attempt=n, started_at=LATE,
                                         status=StepStatus.RUNNING, finished_at=None) for n in (1, 2)]]),
    "before its parent": (
        Kind.ORDER_AGAINST_EDGES, diamond, lambda steps: changed(steps, "d", started_at=BEGIN - HOUR)),
}  # fmt: skip


@pytest.mark.parametrize("name", STEP_FAULTS)
def test_what_steps_can_not_be_is_found(name: str) -> None:
    kind, run, fault = STEP_FAULTS[name]
    trigger, steps = run()

    assert kinds(DIAMOND, trigger, fault(steps)) == {kind}


def test_each_kind_has_a_fault_here() -> None:
    """But for a due trigger that nobody comes for, below, and what the database itself lacks."""
    covered = {kind for kind, *_ in [*TRIGGER_FAULTS.values(), *STEP_FAULTS.values()]}

    assert set(Kind) - covered == {
        Kind.UNSERVED,
        Kind.GUARD_MISSING,
        Kind.TRIGGER_WITHOUT_VERSION,
        Kind.STEP_WITHOUT_TRIGGER,
    }


SOON = replace(LIMITS, now=BEGIN + HOUR, overdue=HOUR / 2)


def test_a_trigger_that_nobody_comes_for_is_unserved_and_one_that_is_scheduled_is_not() -> None:
    trigger, steps = diamond(2)

    assert kinds(DIAMOND, trigger, steps, SOON) == {Kind.UNSERVED}
    assert kinds(DIAMOND, replace(trigger, available_at=BEGIN + 2 * HOUR), steps, SOON) == set()


def test_behind_others_of_a_lane_that_is_served_a_trigger_may_be_due_for_long() -> None:
    trigger, steps = diamond(2)

    assert kinds(DIAMOND, trigger, steps, replace(SOON, served=frozenset({Priority.MEDIUM}))) == set()
    others = frozenset(Priority) - {Priority.MEDIUM}
    assert kinds(DIAMOND, trigger, steps, replace(SOON, served=others)) == {Kind.UNSERVED}


def test_a_trigger_that_was_given_back_waits_since_then() -> None:
    trigger, steps = diamond(2)

    assert kinds(DIAMOND, replace(trigger, updated_at=BEGIN + 0.9 * HOUR), steps, SOON) == set()
    assert kinds(DIAMOND, replace(trigger, updated_at=BEGIN + 0.1 * HOUR), steps, SOON) == {Kind.UNSERVED}


def test_a_priority_that_is_no_lane_is_told_by_its_number() -> None:
    trigger, steps = diamond(2)
    (finding,) = check_trigger(DIAMOND, replace(trigger, priority=9), steps, SOON)

    assert finding.sentence.endswith("nothing was taken from the lane 9 for 1800 s.")


def test_late_evidence_of_a_node_that_failed_is_no_fault() -> None:
    trigger, steps = failed_run()

    assert kinds(DIAMOND, trigger, changed(steps, "b", status=StepStatus.SUCCEEDED)) == set()


def test_a_dead_letter_that_was_discarded_leaves_its_trigger_failed() -> None:
    trigger, steps = failed_run()

    assert kinds(DIAMOND, replace(trigger, open_letters=0, left_letters=1), steps) == set()


def test_clocks_of_two_hosts_may_differ_a_little() -> None:
    trigger, steps = diamond()

    assert kinds(DIAMOND, trigger, changed(steps, "d", started_at=BEGIN - SECOND)) == set()


LINE = graph_of("abc", "a>b", "b>c")


def lagging(*succeeded: str) -> tuple[TriggerFacts, list[StepFacts]]:
    """Return a trigger whose state knows nothing yet, and steps of nodes that succeeded."""
    steps = [
        StepFacts(
            WORKFLOW,
            node_id,
            "email",
            1,
            StepStatus.SUCCEEDED,
            started_at=BEGIN + number * SECOND,
            finished_at=BEGIN + number * SECOND,
        )
        for number, node_id in enumerate(succeeded)
    ]
    return trigger_of(engine.start(LINE, at=BEGIN), LINE, **HELD), steps


@pytest.mark.parametrize("succeeded", ["a", "ab", "abc"])
def test_a_state_may_lag_behind_steps_that_succeeded(succeeded: str) -> None:
    assert kinds(LINE, *lagging(*succeeded)) == set()


def test_it_may_not_lag_behind_one_that_did_not() -> None:
    assert kinds(LINE, *lagging("a", "c")) == {Kind.STEP_OF_UNREACHED_NODE}
