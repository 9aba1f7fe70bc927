"""Cancel: end a trigger now, and say what was already sent."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor
from execution.deeds import note
from execution.models import Step
from execution.states import StepStatus, check_trigger_move
from triggers.models import Trigger
from triggers.states import FINISHED, TriggerStatus


class AlreadyFinished(Exception):
    """The trigger has ended; `status` says how."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The trigger is {status} already.")
        self.status = status


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The canceled trigger, its messages that were sent, and those that a worker is sending at this moment."""

    trigger: Trigger
    sent: list[Step]
    in_flight: list[Step]


@transaction.atomic
def cancel_trigger(trigger_id: UUID, *, by: Actor = SYSTEM) -> Cancellation:
    """End the trigger; nothing that is not in flight will be sent any more.

    A worker that holds it loses its claim with this and can't write another intent; a send that is under way ends as
    evidence in its step. Raises Trigger.DoesNotExist and AlreadyFinished.
    """
    trigger = Trigger.objects.select_for_update(of=("self",)).select_related("workflow", "version").get(pk=trigger_id)
    if trigger.status in FINISHED:
        raise AlreadyFinished(trigger.status)
    check_trigger_move(trigger.status, TriggerStatus.CANCELED)
    note(by, Action.TRIGGER_CANCELED, trigger, {"status": [trigger.status, TriggerStatus.CANCELED]})
    now = timezone.now()
    steps = Step.objects.filter(trigger=trigger)
    steps.filter(status=StepStatus.WAITING).update(status=StepStatus.SKIPPED, finished_at=now)
    trigger.status = TriggerStatus.CANCELED
    trigger.completed_at = trigger.updated_at = now
    trigger.claim_id = trigger.lease_expires_at = None
    trigger.save(update_fields=["status", "completed_at", "updated_at", "claim_id", "lease_expires_at"])
    messages = steps.exclude(provider="").order_by("pk")
    return Cancellation(
        trigger,
        sent=list(messages.filter(status=StepStatus.SUCCEEDED)),
        in_flight=list(messages.filter(status__in=[StepStatus.RUNNING, StepStatus.IN_DOUBT])),
    )
