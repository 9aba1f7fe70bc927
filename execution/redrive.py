"""Redrive: continue failed triggers from the node that failed, on the version they started on."""

from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from execution import engine
from execution.models import DeadLetter, Step
from execution.states import StepStatus, check_trigger_move
from triggers import bells
from triggers.models import Trigger, TriggerQuerySet
from triggers.states import TriggerStatus

# What one call of a redrive by filter takes up at most; the answer says how many are left.
MOST_AT_ONCE = 1_000


class NotFailed(Exception):
    """Only a failed trigger can be redriven; `status` says where this one stands."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The trigger is {status}, not failed.")
        self.status = status


@transaction.atomic
def redrive_trigger(trigger_id: UUID) -> Trigger:
    """Make the failed node ready again, with all its attempts, and close the dead letter.

    A message whose outcome was unknown is sent again: whoever redrives it has accepted that.
    Raises Trigger.DoesNotExist and NotFailed.
    """
    trigger = Trigger.objects.select_for_update(of=("self",)).select_related("workflow", "version").get(pk=trigger_id)
    if trigger.status != TriggerStatus.FAILED:
        raise NotFailed(trigger.status)
    check_trigger_move(trigger.status, TriggerStatus.ENQUEUED)
    now = timezone.now()
    trigger.available_at = now
    if trigger.run_state is not None:
        state = engine.from_json(trigger.run_state)
        doubts = Step.objects.filter(
            trigger=trigger, node_id=engine.failed_node(state) or "", status=StepStatus.IN_DOUBT
        ).count()
        trigger.run_state = engine.to_json(engine.reopen(state, at=now, doubts_accepted=doubts))
    trigger.status = TriggerStatus.ENQUEUED
    trigger.updated_at = now
    trigger.completed_at = trigger.error = None
    trigger.attempts = 0
    trigger.save()
    DeadLetter.objects.filter(trigger=trigger, redriven_at=None).update(redriven_at=now)
    transaction.on_commit(partial(bells.ring, trigger.lane), robust=True)
    return trigger


def redrive_matching(triggers: TriggerQuerySet) -> tuple[int, int]:
    """Redrive the oldest failed triggers of a selection, up to MOST_AT_ONCE; return how many, and how many are left."""
    failed = triggers.filter(status=TriggerStatus.FAILED)
    redriven = 0
    for trigger_id in failed.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE]:
        try:
            redrive_trigger(trigger_id)
        except NotFailed:
            # Somebody else redrove it since the look.
            continue
        redriven += 1
    return redriven, failed.count()
