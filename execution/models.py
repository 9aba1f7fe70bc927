"""What did happen: steps, dead letters, and the sweep's sign of life."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from execution.states import StepStatus
from triggers.models import Trigger
from workflows.models import Workflow


class Step(models.Model):
    """One attempt to execute one node of one trigger: a row of the execution log.

    Written as `running` before the send and completed after it; deleted only when the send was withdrawn before it
    began. `attempt` counts from 1; a node that
    was skipped has one row with attempt 0. `claim_id` tells which claim wrote the intent.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, related_name="steps", db_index=False)
    workflow = models.ForeignKey(
        Workflow, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    node_id = models.CharField(max_length=64)
    node_type = models.CharField(max_length=20)
    attempt = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=[(s.value, s.value) for s in StepStatus])
    provider = models.CharField(max_length=40, blank=True)
    message_id = models.CharField(max_length=255, blank=True)
    output = models.JSONField(default=dict)
    error = models.JSONField(null=True, blank=True)
    claim_id = models.UUIDField(null=True, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trigger", "node_id", "attempt"], name="step_attempt_once"),
            models.UniqueConstraint(
                fields=["trigger", "node_id"], condition=Q(status="succeeded"), name="step_succeeds_once"
            ),
            models.CheckConstraint(condition=Q(status__in=[s.value for s in StepStatus]), name="step_status"),
            models.CheckConstraint(
                condition=Q(status__in=["running", "waiting"], finished_at=None)
                | Q(status__in=["succeeded", "failed", "skipped", "in_doubt"], finished_at__isnull=False),
                name="step_ended_has_time",
            ),
        ]
        indexes = [
            models.Index(fields=["workflow", "-id"], name="step_by_workflow"),
            models.Index(fields=["started_at"], condition=Q(status="running"), name="step_running"),
            models.Index(fields=["-id"], condition=Q(status__in=["failed", "in_doubt"]), name="step_troubled"),
        ]

    def __str__(self) -> str:
        return f"{self.node_id} #{self.attempt} ({self.status})"

    @property
    def duration_ms(self) -> int | None:
        """How long the step took, in milliseconds; None while it is under way."""
        return None if self.finished_at is None else int((self.finished_at - self.started_at).total_seconds() * 1000)


class DeadLetter(models.Model):
    """A trigger that failed for good, waiting for a person; open until it is redriven."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, related_name="dead_letters")
    node_id = models.CharField(max_length=64)
    code = models.CharField(max_length=64)
    message = models.TextField()
    is_transient = models.BooleanField()
    attempts = models.PositiveIntegerField()
    first_failed_at = models.DateTimeField()
    last_failed_at = models.DateTimeField()
    redriven_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["trigger"], condition=Q(redriven_at=None), name="dead_letter_open_once")
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.node_id}: {self.code}"


class SweepTick(models.Model):
    """When the sweep last ran: one row, read by the readiness check."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    ticked_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="sweep_tick_is_one_row")]

    def __str__(self) -> str:
        return self.ticked_at.isoformat()
