"""What did happen: steps, dead letters, and the sweep's sign of life."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from execution.failure_classes import FailureClass
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
    # Without a constraint: it costs each step a look at its trigger, which is locked whenever a step is inserted.
    trigger = models.ForeignKey(
        Trigger, on_delete=models.PROTECT, related_name="steps", db_index=False, db_constraint=False
    )
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


class LetterState(StrEnum):
    """Where a dead letter stands: it waits for a person, or what the person decided."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


IN_STATE = {
    LetterState.OPEN: Q(redriven_at=None, discarded_at=None),
    LetterState.REDRIVEN: Q(redriven_at__isnull=False),
    LetterState.DISCARDED: Q(discarded_at__isnull=False),
}


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    """Sentences about dead letters."""

    def in_state(self, state: LetterState) -> Self:
        """Keep those that stand so."""
        return self.filter(IN_STATE[state])

    def open(self) -> Self:
        """Keep those that wait for a person."""
        return self.in_state(LetterState.OPEN)

    def redrivable(self) -> Self:
        """Keep the open ones whose workflow is there; the others can only be discarded."""
        return self.open().filter(workflow__deleted_at=None)


class DeadLetter(models.Model):
    """A trigger that failed for good, waiting for a person; open until it is redriven or discarded.

    `destination` and `message` are masked (see `masking`). `goes_on_at` is when a redriven trigger is due again, where
    a redrive of many was spread; the next one queues up behind it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, related_name="dead_letters")
    workflow = models.ForeignKey(
        Workflow, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    node_id = models.CharField(max_length=64)
    code = models.CharField(max_length=64)
    failure_class = models.CharField("class", max_length=10, choices=[(c.value, c.value) for c in FailureClass])
    message = models.TextField()
    is_transient = models.BooleanField()
    attempts = models.PositiveIntegerField()
    destination = models.CharField(max_length=255, blank=True)
    first_failed_at = models.DateTimeField()
    last_failed_at = models.DateTimeField()
    redriven_at = models.DateTimeField(null=True, blank=True)
    goes_on_at = models.DateTimeField(null=True, blank=True)
    discarded_at = models.DateTimeField(null=True, blank=True)
    discarded_by = models.CharField(max_length=150, blank=True)
    discard_reason = models.TextField(blank=True)

    objects = DeadLetterQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["trigger"], condition=Q(redriven_at=None, discarded_at=None), name="dead_letter_open_once"
            ),
            models.CheckConstraint(
                condition=Q(redriven_at=None) | Q(discarded_at=None), name="dead_letter_closed_once"
            ),
            models.CheckConstraint(
                condition=Q(discarded_at=None, discard_reason="", discarded_by="")
                | (Q(discarded_at__isnull=False) & ~Q(discard_reason="") & ~Q(discarded_by="")),
                name="dead_letter_discarded_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(failure_class__in=[c.value for c in FailureClass]), name="dead_letter_class"
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], condition=Q(redriven_at=None, discarded_at=None), name="dead_letter_open"),
            models.Index(fields=["workflow", "-id"], name="dead_letter_by_workflow"),
            models.Index(fields=["code", "-id"], name="dead_letter_by_code"),
            models.Index(fields=["goes_on_at"], condition=Q(goes_on_at__isnull=False), name="dead_letter_goes_on"),
        ]
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.node_id}: {self.code}"

    @property
    def state(self) -> LetterState:
        """Where it stands."""
        if self.discarded_at is not None:
            return LetterState.DISCARDED
        return LetterState.OPEN if self.redriven_at is None else LetterState.REDRIVEN

    @property
    def closed_at(self) -> datetime | None:
        """When somebody decided; None while it is open."""
        return self.redriven_at or self.discarded_at


class SweepTick(models.Model):
    """When the sweep last ran and what sweeps have repaired since the installation began: one row.

    `oldest_due_at` is since when the oldest due trigger had waited at that moment; null when nothing was due.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    ticked_at = models.DateTimeField()
    freed_triggers = models.PositiveBigIntegerField(default=0)
    doubted_steps = models.PositiveBigIntegerField(default=0)
    expired_triggers = models.PositiveBigIntegerField(default=0)
    rung_lanes = models.PositiveBigIntegerField(default=0)
    last_repair_at = models.DateTimeField(null=True, blank=True)
    oldest_due_at = models.DateTimeField(null=True, blank=True)
    wait_said_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="sweep_tick_is_one_row")]

    def __str__(self) -> str:
        return self.ticked_at.isoformat()
