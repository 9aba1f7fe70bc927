"""Redrive: continue failed triggers from the node that failed, on the version they started on."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor
from execution import engine
from execution.deeds import note
from execution.models import DeadLetter, Step
from execution.states import StepStatus, check_trigger_move
from triggers import bells
from triggers.models import Trigger, TriggerQuerySet
from triggers.states import TriggerStatus
from workflows.compiled import compiled_version
from workflows.faults import DefinitionInvalid

# What one call of a redrive by filter takes up at most; the answer says how many are left.
MOST_AT_ONCE = 1_000


class NotFailed(Exception):
    """Only a failed trigger can be redriven; `status` says where this one stands."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The trigger is {status}, not failed.")
        self.status = status


@transaction.atomic
def redrive_trigger(trigger_id: UUID, *, by: Actor = SYSTEM, chosen_by: dict[str, Any] | None = None) -> Trigger:
    """Make the failed node ready again, with all its attempts, and close the dead letter.

    A message whose outcome was unknown is sent again: whoever redrives it has accepted that. `chosen_by` is the filter
    that the trigger was found with, for the audit trail.
    Raises Trigger.DoesNotExist and NotFailed.
    """
    trigger = Trigger.objects.select_for_update(of=("self",)).select_related("workflow", "version").get(pk=trigger_id)
    if trigger.status != TriggerStatus.FAILED:
        raise NotFailed(trigger.status)
    check_trigger_move(trigger.status, TriggerStatus.ENQUEUED)
    found = {"filter": chosen_by} if chosen_by else {}
    note(by, Action.TRIGGER_REDRIVEN, trigger, {"status": [trigger.status, TriggerStatus.ENQUEUED], **found})
    now = timezone.now()
    trigger.available_at = now
    trigger.attempts = 0
    _take_up(trigger, now=now)
    trigger.status = TriggerStatus.ENQUEUED
    trigger.updated_at = now
    trigger.completed_at = trigger.error = None
    trigger.save()
    DeadLetter.objects.filter(trigger=trigger, redriven_at=None).update(redriven_at=now)
    transaction.on_commit(partial(bells.ring, trigger.lane), robust=True)
    return trigger


@dataclass(frozen=True, slots=True)
class Redriven:
    """What one call of a redrive by filter did: how many it took up, how many failed ones lie behind `last_id`."""

    count: int
    remaining: int
    last_id: UUID | None


def redrive_matching(
    triggers: TriggerQuerySet,
    *,
    after_id: UUID | None = None,
    by: Actor = SYSTEM,
    chosen_by: dict[str, Any] | None = None,
) -> Redriven:
    """Redrive the oldest failed triggers of a selection, up to MOST_AT_ONCE, beginning behind `after_id`.

    Who goes on behind `last_id` reaches all of them, also when those redriven before have failed again. Each trigger
    redriven gets an audit entry; `chosen_by` tells it, as JSON, what was asked for.
    """
    failed = triggers.filter(status=TriggerStatus.FAILED)
    if after_id is not None:
        failed = failed.filter(pk__gt=after_id)
    redriven, last_id = 0, after_id
    for trigger_id in failed.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE]:
        last_id = trigger_id
        try:
            redrive_trigger(trigger_id, by=by, chosen_by=chosen_by)
        except NotFailed:
            # Somebody else redrove it since the look.
            continue
        redriven += 1
    remaining = 0 if last_id is None else failed.filter(pk__gt=last_id).count()
    return Redriven(redriven, remaining, last_id)


def _take_up(trigger: Trigger, *, now: datetime) -> None:
    """Make the failed node ready again and point the trigger at what runs next: a branch beside it may be earlier."""
    if trigger.run_state is None:
        return
    state = engine.from_json(trigger.run_state)
    doubts = Step.objects.filter(
        trigger=trigger, node_id=engine.failed_node(state) or "", status=StepStatus.IN_DOUBT
    ).count()
    state = engine.reopen(state, at=now, doubts_accepted=doubts)
    trigger.run_state = engine.to_json(state)
    try:
        following = engine.next_node(compiled_version(trigger.version_id).graph, state)
    except DefinitionInvalid:
        # It fails again as soon as a worker takes it, unless what it lacks is back by then.
        return
    if following is not None:
        trigger.current_node_id, ready = following
        trigger.available_at, trigger.attempts = ready.at, ready.failures
