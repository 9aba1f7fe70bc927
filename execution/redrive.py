"""Redrive: continue failed triggers from the node that failed, on the version they started on or on the newest."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor
from execution import engine
from execution.carry_over import CarryOverRefused, VersionIncompatible, check_carry_over
from execution.deeds import note
from execution.models import DeadLetter, LetterState, Step
from execution.states import StepStatus, check_trigger_move
from triggers import bells
from triggers.models import Trigger, TriggerQuerySet
from triggers.states import TriggerStatus
from workflows.compiled import compiled_version
from workflows.faults import DefinitionInvalid

# What one call of a redrive by filter takes up at most; the answer says how many are left.
MOST_AT_ONCE = 1_000
# What a state that was not written by the engine raises when it is read.
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)


class WhichVersion(StrEnum):
    """Where a redriven trigger goes on: on the version it started on, or on the newest of its workflow."""

    PINNED = "pinned"
    NEWEST = "newest"


class RedriveRefused(Exception):
    """A trigger can't be redriven; `code` is the reason for programs."""

    code = "refused"


class NotFailed(RedriveRefused):
    """Only a failed trigger can be redriven; `status` says where this one stands."""

    code = "not_failed"

    def __init__(self, status: str) -> None:
        super().__init__(f"The trigger is {status}, not failed.")
        self.status = status


class NotOpen(RedriveRefused):
    """Somebody has decided about the dead letter already; `state` says how."""

    code = "not_open"

    def __init__(self, state: LetterState) -> None:
        super().__init__(f"The dead letter is {state} already.")
        self.state = state


class WorkflowDeleted(RedriveRefused):
    """The trigger's workflow was deleted: nothing of it is sent any more."""

    code = "workflow_deleted"

    def __init__(self, key: str) -> None:
        super().__init__(f"The workflow {key} was deleted; nothing of it is sent any more.")


# All that keeps a trigger from being redriven, each with its `code`.
REFUSALS = (RedriveRefused, CarryOverRefused)


@transaction.atomic
def redrive_trigger(
    trigger_id: UUID,
    *,
    by: Actor = SYSTEM,
    chosen_by: dict[str, Any] | None = None,
    version: WhichVersion = WhichVersion.PINNED,
    not_before: datetime | None = None,
    letter_id: UUID | None = None,
) -> Trigger:
    """Make the failed node ready again, with all its attempts, and close the dead letter.

    A message whose outcome was unknown is sent again: whoever redrives it has accepted that. `chosen_by` is the filter
    that the trigger was found with, for the audit trail; `not_before` keeps the whole trigger waiting until then. With
    `letter_id`, that dead letter must be open.
    Raises Trigger.DoesNotExist, NotFailed, NotOpen, WorkflowDeleted, NodeGone and VersionIncompatible.
    """
    # The workflow's row is locked as well, so that it is not deleted meanwhile.
    locked = Trigger.objects.select_for_update(of=("self", "workflow"), no_key=True)
    trigger = locked.select_related("workflow", "version").get(pk=trigger_id)
    if letter_id is not None and (state := DeadLetter.objects.get(pk=letter_id).state) is not LetterState.OPEN:
        raise NotOpen(state)
    if trigger.status != TriggerStatus.FAILED:
        raise NotFailed(trigger.status)
    if trigger.workflow.deleted_at is not None:
        raise WorkflowDeleted(trigger.workflow.key)
    check_trigger_move(trigger.status, TriggerStatus.ENQUEUED)
    changes: dict[str, Any] = {"status": [trigger.status, TriggerStatus.ENQUEUED]}
    if version is WhichVersion.NEWEST and trigger.version.number != trigger.workflow.version:
        changes["version"] = _move_to_newest(trigger)
    note(by, Action.TRIGGER_REDRIVEN, trigger, changes | ({"filter": chosen_by} if chosen_by else {}))
    now = timezone.now()
    _take_up(trigger, now=now, not_before=not_before or now)
    trigger.status = TriggerStatus.ENQUEUED
    trigger.updated_at = now
    trigger.completed_at = trigger.error = None
    trigger.save()
    DeadLetter.objects.open().filter(trigger=trigger).update(redriven_at=now, goes_on_at=not_before)
    bells.ring_on_commit(trigger.lane, trigger.available_at, now=now)
    return trigger


@dataclass(slots=True)
class Redriven:
    """What one call of a redrive by filter did: how many it took up, how many failed ones lie behind `last_id`.

    `last_id` is the trigger that it came to. `refused` counts those that stayed failed, by the reason's code;
    `spread_until` is when the last of them goes on, where they were spread.
    """

    count: int = 0
    remaining: int = 0
    last_id: UUID | None = None
    refused: Counter[str] = field(default_factory=Counter)
    spread_until: datetime | None = None


def redrive_matching(
    triggers: TriggerQuerySet,
    *,
    after_id: UUID | None = None,
    by: Actor = SYSTEM,
    chosen_by: dict[str, Any] | None = None,
) -> Redriven:
    """Redrive the oldest failed triggers of a selection, up to MOST_AT_ONCE, beginning behind `after_id`.

    Who goes on behind `last_id` reaches all of them, also when those redriven before have failed again. Each trigger
    redriven gets an audit entry; `chosen_by` tells it, as JSON, what was asked for. Left alone are those whose dead
    letter was discarded, and those of deleted workflows.
    """
    discarded = DeadLetter.objects.in_state(LetterState.DISCARDED).values("trigger")
    is_open = DeadLetter.objects.open().values("trigger")
    failed = triggers.filter(status=TriggerStatus.FAILED, workflow__deleted_at=None)
    failed = failed.exclude(pk__in=discarded) | failed.filter(pk__in=is_open)
    if after_id is not None:
        failed = failed.filter(pk__gt=after_id)
    done = Redriven(last_id=after_id)
    for trigger_id in failed.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE]:
        done.last_id = trigger_id
        try:
            redrive_trigger(trigger_id, by=by, chosen_by=chosen_by)
        except REFUSALS as refusal:
            # Somebody else redrove it since the look, or deleted its workflow.
            done.refused[refusal.code] += 1
            continue
        done.count += 1
    done.remaining = 0 if done.last_id is None else failed.filter(pk__gt=done.last_id).count()
    return done


def _take_up(trigger: Trigger, *, now: datetime, not_before: datetime) -> None:
    """Make the failed node ready again and point the trigger at what runs next: a branch beside it may be earlier."""
    trigger.available_at, trigger.attempts = not_before, 0
    if trigger.run_state is None:
        return
    try:
        state = engine.from_json(trigger.run_state)
    except UNREADABLE:
        # It fails again, with the reason, as soon as a worker takes it.
        return
    failed = engine.failed_node(state) or ""
    doubts = Step.objects.filter(trigger=trigger, node_id=failed, status=StepStatus.IN_DOUBT).count()
    state = engine.reopen(state, at=not_before, doubts_accepted=doubts)
    trigger.run_state = engine.to_json(state)
    try:
        following = engine.next_node(compiled_version(trigger.version_id).graph, state)
    except DefinitionInvalid:
        # It fails again as soon as a worker takes it, unless what it lacks is back by then.
        return
    if following is not None:
        trigger.current_node_id, ready = following
        trigger.available_at, trigger.attempts = ready.at, ready.failures
        if not_before > now:
            # Nor does an earlier branch of it run before: it may be the same provider's.
            trigger.available_at = max(ready.at, not_before)


def _move_to_newest(trigger: Trigger) -> list[int]:
    """Pin the trigger to its workflow's newest version, where its run can go on there; return the numbers [from, to].

    Raises NodeGone and VersionIncompatible.
    """
    workflow, pinned = trigger.workflow, trigger.version
    newest = workflow.versions.get(number=workflow.version)
    failed = trigger.current_node_id
    try:
        graph = compiled_version(newest.pk).graph
    except DefinitionInvalid as error:
        raise VersionIncompatible(failed, f"The newest version can't be run any more: {error}") from None
    state = engine.RunState(ended={}, edges={}, ready={})
    if trigger.run_state is not None:
        try:
            state = engine.from_json(trigger.run_state)
        except UNREADABLE:
            raise VersionIncompatible(failed, "The stored state of the run can't be read.") from None
    check_carry_over(
        graph, state, types={node["id"]: node["type"] for node in pinned.definition["nodes"]}, failed=failed
    )
    trigger.version = newest
    return [pinned.number, newest.number]
