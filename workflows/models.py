"""Workflows and their immutable versions."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from workflows.keys import is_workflow_id
from workflows.priorities import CHOICES, Priority

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WorkflowQuerySet(models.QuerySet["Workflow"]):
    """Sentences about workflows."""

    def present(self) -> Self:
        """Leave out the deleted ones."""
        return self.filter(deleted_at=None)

    def named(self, name: str) -> Self:
        """Keep the one with this id or this key; a key never looks like an id (see `keys`)."""
        return self.filter(Q(pk=name) if is_workflow_id(name) else Q(key=name))


class Workflow(models.Model):
    """A named DAG that can be active or not. What it does is in its versions; the newest is current.

    A deleted workflow stays as a row: its triggers stay readable and its key stays taken.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    priority = models.PositiveSmallIntegerField(choices=CHOICES, default=Priority.MEDIUM.value)
    is_active = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    # Counts every change, where `version` counts those of the definition.
    revision = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(priority__in=[p.value for p in Priority]), name="workflow_priority"),
            models.CheckConstraint(
                condition=Q(deleted_at=None) | Q(is_active=False), name="workflow_deleted_is_inactive"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state_tag(self) -> str:
        """What stands for the workflow as it is: no two states of it have the same one.

        The services count `revision` up under the row lock, so that two changes in one microsecond, or in one
        transaction, differ; the time tells states apart that got the same number before and after a restored backup.
        """
        return f"{self.revision}-{(self.updated_at - EPOCH) // timedelta(microseconds=1):x}"


class VersionIsImmutable(TypeError):
    """A version was about to be changed or deleted; make a new one instead."""


class WorkflowVersion(models.Model):
    """One snapshot of a workflow's definition; triggers are pinned to it, so it never changes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workflow", "number"], name="version_number_once")]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.workflow_id} v{self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the version. Raises VersionIsImmutable when it exists already."""
        if not self._state.adding:
            raise VersionIsImmutable(f"Version {self.number} of workflow {self.workflow_id} can't be changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refuse: raises VersionIsImmutable."""
        raise VersionIsImmutable(f"Version {self.number} of workflow {self.workflow_id} can't be deleted.")
