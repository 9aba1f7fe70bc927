"""What came of nodes, and the intents that follow, stored in one transaction (DESIGN section 6, T3 and T4).

Runs move in memory first (`advance`), so that what they do next is known when their outcomes are stored. What a claim
no longer holds is not moved: its steps are kept as evidence (see `evidence`), and nothing more of it is sent.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from msgspec import Struct

from execution import engine
from execution.claims import Claim, lock_held
from execution.dead_letters import dead_letter, destination_of
from execution.evidence import add_evidence, yield_to_evidence
from execution.intents import intents_of
from execution.models import DeadLetter
from execution.moves import Move, move_triggers
from execution.rows import insert_steps, update_outcomes
from execution.runs import Run
from execution.states import StepStatus
from execution.step_rows import StepRow
from execution.work import Result, Send, new_step
from triggers import bells
from triggers.states import TriggerStatus


class Advance(Struct, frozen=True):
    """A result that has moved its run in memory, the steps of what that skipped, and whether the run goes on at once.

    One that is `passing` leaves its trigger's row as it is, which the next one moves: the steps tell how far it got.
    """

    result: Result
    skipped: tuple[StepRow, ...]
    goes_on: bool
    passing: bool = False


def advance(result: Result, *, now: datetime, may_go_on: bool, may_pass: bool = False) -> Advance:
    """Move the result's run. One whose next node is due goes on, unless `may_go_on` is False.

    With `may_pass`, one that goes on after a success is passing (docs/adr/0015).
    """
    run = result.run
    before = run.state
    at = result.at or now
    run.state = engine.advance(run.workflow.graph, before, node_id=result.node_id, outcome=result.outcome, at=at)
    following = engine.next_node(run.workflow.graph, run.state) if may_go_on else None
    goes_on = following is not None and following[1].at <= now
    skipped = tuple(_skipped(run, node_id, now=now) for node_id in engine.newly_skipped(before, run.state))
    passing = may_pass and goes_on and not skipped and isinstance(result.outcome, engine.Succeeded)
    return Advance(result, skipped, goes_on, passing)


@transaction.atomic
def record(claim: Claim, advances: Sequence[Advance], sends: Sequence[Send] = (), *, now: datetime) -> set[UUID]:
    """Store what came of these runs, and the intents of these sends, as far as the claim still holds their triggers.

    Returns the ids of those; what is not among them must not be sent, nor go on. Bells for what is due within a minute
    are rung after commit. When it fails, nothing has changed, and it may be called again with the same; also when only
    the answer to its commit got lost.
    """
    held = lock_held(claim, {each.result.run.id for each in advances} | {send.run.id for send in sends})
    results = [each.result for each in advances]
    add_evidence([result.step for result in results if result.run.id not in held and result.step is not None])
    kept = [each for each in advances if each.result.run.id in held]
    intents = intents_of(claim, [send for send in sends if send.run.id in held])
    _store_steps(kept, intents)
    DeadLetter.objects.bulk_create(
        _dead_letter(each.result, now=now) for each in kept if each.result.run.state.has_failed
    )
    _move_triggers(claim, [each for each in kept if not each.passing], now=now)
    return held


@transaction.atomic
def tell(claim: Claim, advances: Sequence[Advance], *, now: datetime) -> None:
    """Move the rows of triggers that have been passing, as far as the claim still holds them."""
    held = lock_held(claim, [each.result.run.id for each in advances])
    _move_triggers(claim, [each for each in advances if each.result.run.id in held], now=now)


def _move_triggers(claim: Claim, advances: Sequence[Advance], *, now: datetime) -> None:
    moves = [_move(each, now=now) for each in advances]
    move_triggers(claim, [each.result.run.id for each in advances], moves, now=now)
    for moment in sorted({move.available_at for move in moves if move.available_at and not move.keeps_claim}):
        bells.ring_on_commit(claim.lane, moment, now=now)


def _store_steps(advances: Sequence[Advance], intents: list[StepRow]) -> None:
    ended: list[StepRow] = []
    begun: list[StepRow] = []
    for each in advances:
        if each.result.step is not None:
            (begun if each.result.is_new_step else ended).append(each.result.step)
        begun += each.skipped
    yield_to_evidence(ended)
    update_outcomes(ended)
    insert_steps([*begun, *intents])


def _skipped(run: Run, node_id: str, *, now: datetime) -> StepRow:
    node_type = run.workflow.graph.nodes[node_id].type
    step = new_step(run, node_id, node_type, StepStatus.SKIPPED, attempt=0, started_at=now)
    step.finished_at = now
    return step


def _dead_letter(result: Result, *, now: datetime) -> DeadLetter:
    history = result.run.history[result.node_id]
    error = result.error or {"code": "unknown", "message": "", "is_transient": False}
    return dead_letter(
        result.run.trigger,
        result.node_id,
        error,
        attempts=history.attempts,
        first_failed_at=history.first_failed_at or now,
        last_failed_at=now,
        destination=destination_of(result.run, result.node_id),
    )


def _move(advance: Advance, *, now: datetime) -> Move:
    result, run = advance.result, advance.result.run
    graph, state = run.workflow.graph, run.state
    has_continued = isinstance(result.outcome, engine.Continued)
    move = Move(
        run_state=engine.to_json(state),
        last_step_status=_last_step_status(result),
        error={**result.error, "node_id": result.node_id} if result.error and not has_continued else None,
        failed_nodes=engine.continued_nodes(graph, state) if has_continued else None,
    )
    following = engine.next_node(graph, state)
    if following is not None:
        move.current_node_id, ready = following
        move.attempts, move.available_at = ready.failures, ready.at
        move.status = TriggerStatus.PROCESSING if advance.goes_on else TriggerStatus.ENQUEUED
        return move
    move.completed_at = now
    if state.has_failed:
        move.status = TriggerStatus.FAILED
        move.current_node_id, move.attempts = result.node_id, run.history[result.node_id].attempts
    return move


def _last_step_status(result: Result) -> str:
    if isinstance(result.outcome, engine.Succeeded):
        # Also where late evidence has left the step itself in doubt.
        return StepStatus.SUCCEEDED
    if result.step is not None:
        return StepStatus(result.step.status)
    return StepStatus.IN_DOUBT if isinstance(result.outcome, engine.Failed) else StepStatus.SUCCEEDED
