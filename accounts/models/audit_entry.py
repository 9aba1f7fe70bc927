"""The audit trail's rows. They are written by `accounts.audit` and never changed, which the database sees to."""

from typing import Any, NoReturn

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Entries to read; the database refuses the rest as well, with triggers that the first migration makes."""

    def update(self, **_: Any) -> NoReturn:
        """Raise TypeError: the trail only grows."""
        raise TypeError("Audit entries can't be changed.")

    def delete(self) -> NoReturn:
        """Raise TypeError: the trail only grows."""
        raise TypeError("Audit entries can't be deleted.")


class AuditEntry(models.Model):
    """One deed: who, by which way, what, to what, and what changed by it.

    Names are copied, not joined: the entry says what was true then. `changes` holds `{field: [before, after]}`, or the
    facts of a deed that changes no field; never a secret.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    actor_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=150)
    role = models.CharField(max_length=20, blank=True)
    via = models.CharField(max_length=10)
    key_prefix = models.CharField("API key", max_length=20, blank=True)
    action = models.CharField(max_length=40)
    object_type = models.CharField(max_length=20)
    object_id = models.UUIDField(null=True)
    object_name = models.CharField(max_length=255, blank=True)
    changes = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=45, blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit trail"
        indexes = [
            models.Index(fields=["object_id", "-id"], name="audit_by_object"),
            models.Index(fields=["actor_id", "-id"], name="audit_by_actor"),
            models.Index(fields=["via", "-id"], name="audit_by_via"),
            models.Index(fields=["request_id"], name="audit_by_request"),
            # Nearly all entries are accepted triggers, which the newest pages show anyway.
            models.Index(fields=["action", "-id"], condition=~Q(action="trigger.created"), name="audit_by_action"),
            models.Index(fields=["object_type", "-id"], condition=~Q(action="trigger.created"), name="audit_by_type"),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.object_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the entry, once. Raises TypeError for one that stands: the trail only grows."""
        if not self._state.adding:
            raise TypeError("An audit entry can't be changed.")
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> tuple[int, dict[str, int]]:
        """Raise TypeError: the trail only grows."""
        raise TypeError("An audit entry can't be deleted.")
