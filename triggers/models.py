"""Triggers: what was asked for, and how far it has got; and uploads of many."""

from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from triggers.states import UNDER_WAY, TriggerStatus, UploadState
from workflows.keys import is_workflow_id
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import CHOICES, Priority


class TriggerQuerySet(models.QuerySet["Trigger"]):
    """Sentences about triggers."""

    def due(self, *, lane: str, now: datetime) -> Self:
        """Keep what a worker may take from `lane` now, oldest first."""
        return self.filter(
            status=TriggerStatus.ENQUEUED, priority=Priority.of_lane(lane), available_at__lte=now
        ).order_by("available_at", "pk")

    def held_by(self, claim_id: UUID) -> Self:
        """Keep what this claim still holds: the fence that every move goes through."""
        return self.filter(status=TriggerStatus.PROCESSING, claim_id=claim_id)

    def lease_expired(self, now: datetime) -> Self:
        """Keep what a worker took and let go of without a word."""
        return self.filter(status=TriggerStatus.PROCESSING, lease_expires_at__lt=now)

    def late(self, *, lane: str, now: datetime) -> Self:
        """Keep what waits in `lane`, due or not, and has expired; what expired first comes first."""
        return self.filter(
            status=TriggerStatus.ENQUEUED, priority=Priority.of_lane(lane), expires_at__lte=now
        ).order_by("expires_at")

    def under_way(self) -> Self:
        """Keep what has not ended."""
        return self.filter(status__in=UNDER_WAY)

    def of_workflow(self, name: str) -> Self:
        """Keep the triggers of the workflow with this id or key, deleted or not."""
        return self.filter(workflow_id=name) if is_workflow_id(name) else self.filter(workflow__key=name)

    def without_bodies(self) -> Self:
        """Leave the JSON columns in the database, for lists that don't show them."""
        return self.defer("recipient", "context", "run_state")


class Trigger(models.Model):
    """One run of one version for one recipient.

    `run_state` is the engine's (see `execution.engine`); null until the first step. A claim's three columns are set
    exactly while it is `processing`. Nothing of it is sent from `expires_at` on. `failed_nodes` are those that failed
    while the workflow went on (`on_failure: continue`); one that ended it is the `current_node_id`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="triggers", db_index=False)
    # Without a constraint: it costs each trigger a look at the version that it was just given; none is ever deleted.
    version = models.ForeignKey(
        WorkflowVersion, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    idempotency_key = models.CharField(max_length=255)
    priority = models.PositiveSmallIntegerField(choices=CHOICES)
    status = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in TriggerStatus],
        default=TriggerStatus.ENQUEUED.value,
    )
    available_at = models.DateTimeField()
    current_node_id = models.CharField(max_length=64, blank=True)
    last_step_status = models.CharField(max_length=10, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    claim_id = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)
    scheduled_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True)
    failed_nodes = models.JSONField(default=list, blank=True)
    run_state = models.JSONField(null=True, editable=False)
    recipient = models.JSONField(default=dict)
    context = models.JSONField(default=dict)

    objects = TriggerQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workflow", "idempotency_key"], name="trigger_once"),
            models.CheckConstraint(condition=Q(status__in=[s.value for s in TriggerStatus]), name="trigger_status"),
            models.CheckConstraint(
                condition=Q(status="processing", claim_id__isnull=False, lease_expires_at__isnull=False)
                | (~Q(status="processing") & Q(claim_id=None, lease_expires_at=None)),
                name="trigger_claimed_while_processing",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed", "canceled"], completed_at__isnull=False)
                | Q(status__in=["enqueued", "processing"], completed_at=None),
                name="trigger_ended_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["priority", "available_at", "id"], condition=Q(status="enqueued"), name="trigger_due"),
            models.Index(fields=["lease_expires_at"], condition=Q(status="processing"), name="trigger_leased"),
            models.Index(
                fields=["priority", "expires_at"],
                condition=Q(status="enqueued", expires_at__isnull=False),
                name="trigger_late",
            ),
            models.Index(fields=["workflow", "-id"], name="trigger_by_workflow"),
            models.Index(fields=["-id"], condition=Q(status="failed"), name="trigger_failed"),
            models.Index(
                fields=["workflow"], condition=Q(status__in=["enqueued", "processing"]), name="trigger_under_way"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.idempotency_key} ({self.status})"

    @property
    def lane(self) -> str:
        """The lane that this trigger's priority puts it in."""
        return Priority(self.priority).lane


class BulkUpload(models.Model):
    """Triggers of one workflow that came line by line, stored chunk by chunk; how far that has got.

    Written in the transactions of the chunks, so that its counts are what was stored. `reason` says why it broke off.
    """

    # A process that was killed says no more: what has been silent for so long runs no more.
    LONGEST_SILENCE = timedelta(minutes=10)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="uploads", db_index=False)
    actor_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=150)
    request_id = models.CharField(max_length=64, blank=True)
    state = models.CharField(
        max_length=10, choices=[(s.value, s.value) for s in UploadState], default=UploadState.RUNNING.value
    )
    reason = models.CharField(max_length=30, blank=True)
    lines_read = models.PositiveBigIntegerField(default=0)
    created = models.PositiveBigIntegerField(default=0)
    existing = models.PositiveBigIntegerField(default=0)
    rejected = models.PositiveBigIntegerField(default=0)
    errors = models.JSONField(default=list, blank=True)
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", finished_at=None)
                | Q(state__in=["finished", "broken_off"], finished_at__isnull=False),
                name="upload_ended_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="broken_off") & Q(reason="") | Q(state="broken_off") & ~Q(reason=""),
                name="upload_broken_off_has_reason",
            ),
        ]
        indexes = [models.Index(fields=["actor_id", "-id"], name="upload_by_actor")]

    def __str__(self) -> str:
        return f"{self.lines_read} lines ({self.state})"

    @property
    def state_now(self) -> str:
        """The state, as far as can be told: a running upload that has been silent for long has broken off."""
        is_silent = timezone.now() - self.updated_at > self.LONGEST_SILENCE
        return UploadState.BROKEN_OFF if self.state == UploadState.RUNNING and is_silent else self.state
