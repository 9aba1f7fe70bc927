"""Outcomes recorded in groups: steps completed, triggers moved, next nodes opened (DESIGN section 6, T4).

Triggers that go to the same place are moved by one statement. What a claim no longer holds is not moved: its steps
are kept as evidence (see `evidence`).
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from execution import engine
from execution.claims import Claim, lock_held
from execution.dead_letters import dead_letter, destination_of
from execution.evidence import add_evidence, yield_to_evidence
from execution.models import DeadLetter, Step
from execution.rows import insert_steps, update_outcomes
from execution.runs import Run
from execution.states import StepStatus, check_trigger_move
from execution.work import Result, new_step
from triggers import bells
from triggers.models import Trigger
from triggers.states import TriggerStatus


@dataclass(frozen=True, slots=True)
class Advance:
    """A result that moves its run, and the state it leads to; the run itself moves once that is committed."""

    result: Result
    state: engine.RunState


def record_results(claim: Claim, results: Sequence[Result], *, now: datetime, may_go_on: bool) -> list[Run]:
    """Store what came of these nodes and move their triggers, as far as the claim still holds them.

    A run whose next node is due stays claimed and is returned, unless `may_go_on` is False: then it is due for the
    next claim. Bells for what is due within a minute are rung after commit. When it fails, nothing has changed, and it
    may be called again with the same results; also when only the answer to its commit got lost.
    """
    with transaction.atomic():
        held = lock_held(claim, [result.run.id for result in results])
        add_evidence([result.step for result in results if result.run.id not in held and result.step is not None])
        advances = [Advance(result, _advanced(result, now=now)) for result in results if result.run.id in held]
        _store_steps(advances, now=now)
        DeadLetter.objects.bulk_create(_dead_letter(each.result, now=now) for each in advances if each.state.has_failed)
        going_on = _move_triggers(claim, advances, now=now, may_go_on=may_go_on)
    for each in advances:
        each.result.run.state = each.state
    return going_on


def _store_steps(advances: Sequence[Advance], *, now: datetime) -> None:
    ended: list[Step] = []
    begun: list[Step] = []
    for each in advances:
        if each.result.step is not None:
            (begun if each.result.is_new_step else ended).append(each.result.step)
        begun += _skipped_steps(each, now=now)
    yield_to_evidence(ended)
    update_outcomes(ended)
    insert_steps(begun, are_perhaps_stored=True)


def _advanced(result: Result, *, now: datetime) -> engine.RunState:
    return engine.advance(
        result.run.workflow.graph, result.run.state, node_id=result.node_id, outcome=result.outcome, at=now
    )


def _skipped_steps(advance: Advance, *, now: datetime) -> list[Step]:
    run = advance.result.run
    steps = []
    for node_id in engine.newly_skipped(run.state, advance.state):
        node_type = run.workflow.graph.nodes[node_id].type
        step = new_step(run, node_id, node_type, StepStatus.SKIPPED, attempt=0, started_at=now)
        step.finished_at = now
        steps.append(step)
    return steps


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


def _move_triggers(claim: Claim, advances: Sequence[Advance], *, now: datetime, may_go_on: bool) -> list[Run]:
    groups: defaultdict[str, list[UUID]] = defaultdict(list)
    moves: dict[str, dict[str, Any]] = {}
    going_on: list[Run] = []
    for each in advances:
        move = _move(each, now=now, may_go_on=may_go_on)
        name = json.dumps(move, default=str, sort_keys=True)
        if name not in moves:
            check_trigger_move(TriggerStatus.PROCESSING, move["status"])
            moves[name] = move
        groups[name].append(each.result.run.id)
        if move["status"] == TriggerStatus.PROCESSING:
            going_on.append(each.result.run)
    for name, trigger_ids in groups.items():
        Trigger.objects.held_by(claim.id).filter(pk__in=trigger_ids).update(**moves[name])
    _ring_for(claim.lane, moves.values(), now=now)
    return going_on


def _move(advance: Advance, *, now: datetime, may_go_on: bool) -> dict[str, Any]:
    """Return the columns that change: the same for all triggers that go to the same place."""
    result, run, state = advance.result, advance.result.run, advance.state
    following = engine.next_node(run.workflow.graph, state)
    fields: dict[str, Any] = {
        "run_state": engine.to_json(state),
        "last_step_status": _last_step_status(result),
        "error": {**result.error, "node_id": result.node_id} if result.error else None,
        "updated_at": now,
    }
    if isinstance(result.outcome, engine.Continued):
        fields |= {"error": None, "failed_nodes": engine.continued_nodes(run.workflow.graph, state)}
    if following is None:
        has_failed = state.has_failed
        return {
            **fields,
            "status": TriggerStatus.FAILED if has_failed else TriggerStatus.COMPLETED,
            "current_node_id": result.node_id if has_failed else "",
            "attempts": run.history[result.node_id].attempts if has_failed else 0,
            "completed_at": now,
            "claim_id": None,
            "lease_expires_at": None,
        }
    node_id, ready = following
    fields |= {"current_node_id": node_id, "attempts": ready.failures, "available_at": ready.at}
    if ready.at <= now and may_go_on:
        return {**fields, "status": TriggerStatus.PROCESSING}
    return {**fields, "status": TriggerStatus.ENQUEUED, "claim_id": None, "lease_expires_at": None}


def _last_step_status(result: Result) -> str:
    if isinstance(result.outcome, engine.Succeeded):
        # Also where late evidence has left the step itself in doubt.
        return StepStatus.SUCCEEDED
    if result.step is not None:
        return StepStatus(result.step.status)
    return StepStatus.IN_DOUBT if isinstance(result.outcome, engine.Failed) else StepStatus.SUCCEEDED


def _ring_for(lane: str, moves: Any, *, now: datetime) -> None:
    times = {move["available_at"] for move in moves if move["status"] == TriggerStatus.ENQUEUED}
    for moment in sorted(times):
        bells.ring_on_commit(lane, moment, now=now)
