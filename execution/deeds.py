"""What people and machines do to triggers, as the audit trail tells it."""

from typing import Any

from accounts.audit import Action, Actor, record
from triggers.models import Trigger


def note(by: Actor, action: Action, trigger: Trigger, changes: dict[str, Any]) -> None:
    """Store the entry of a deed, inside the transaction of the deed."""
    record(
        by,
        action,
        object_type="trigger",
        object_id=trigger.pk,
        object_name=trigger.idempotency_key,
        changes=changes,
    )
