"""Triggers that can't be run any further end as failed, so that none stays stuck and none takes others along."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from execution.claims import Claim, lock_held
from execution.dead_letters import dead_letter
from execution.runs import Unrunnable
from execution.storable import storable
from triggers.models import Trigger
from triggers.states import TriggerStatus


def fail_unrunnable(claim: Claim, found: Sequence[Unrunnable], *, now: datetime) -> None:
    """End these triggers with the reason, as far as the claim holds them."""
    if found:
        _fail(claim, found, now=now)


@transaction.atomic
def _fail(claim: Claim, found: Sequence[Unrunnable], *, now: datetime) -> None:
    held = lock_held(claim, [each.trigger.id for each in found])
    for each in found:
        if each.trigger.id not in held:
            continue
        node_id = each.trigger.current_node_id
        error = {"code": each.code, "message": storable(each.reason), "is_transient": False}
        attempts = each.trigger.attempts
        dead_letter(each.trigger, node_id, error, attempts=attempts, first_failed_at=now, last_failed_at=now).save(
            force_insert=True
        )
        Trigger.objects.filter(pk=each.trigger.id).update(
            status=TriggerStatus.FAILED,
            error={**error, "node_id": node_id},
            completed_at=now,
            claim_id=None,
            lease_expires_at=None,
            updated_at=now,
        )
