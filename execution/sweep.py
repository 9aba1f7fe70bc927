"""The sweep: finds due or abandoned triggers and rings. Idempotent, bounded, safe with two beats."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from execution.models import Step, SweepTick
from execution.states import StepStatus
from triggers import bells
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.priorities import LANES

logger = logging.getLogger(__name__)

# What one tick repairs at most; the next tick, a second later, goes on.
MOST_PER_TICK = 1_000


def sweep(*, now: datetime) -> None:
    """Free expired leases, find steps in doubt, ring every lane in which something is due."""
    freed = free_expired_leases(now=now)
    doubted = doubt_orphaned_steps(now=now)
    if freed or doubted:
        logger.warning("The sweep freed %d trigger(s) and found %d orphaned step(s) in doubt", freed, doubted)
    for lane in LANES:
        if Trigger.objects.due(lane=lane, now=now).exists():
            bells.ring(lane)
    SweepTick.objects.update_or_create(pk=1, defaults={"ticked_at": now})


@transaction.atomic
def free_expired_leases(*, now: datetime, expired_before: datetime | None = None) -> int:
    """Give the triggers of workers that are gone back to their lanes; their running steps are in doubt.

    A lease has expired when it ended before `expired_before`, by default `now`; `now` is the time that rows get.
    """
    expired = list(
        Trigger.objects.lease_expired(expired_before or now)
        .select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        .values_list("pk", flat=True)[:MOST_PER_TICK]
    )
    if expired:
        Step.objects.filter(trigger_id__in=expired, status=StepStatus.RUNNING).update(
            status=StepStatus.IN_DOUBT, finished_at=now
        )
        Trigger.objects.filter(pk__in=expired).update(
            status=TriggerStatus.ENQUEUED, claim_id=None, lease_expires_at=None, updated_at=now
        )
    return len(expired)


@transaction.atomic
def doubt_orphaned_steps(*, now: datetime) -> int:
    """Find steps left `running` by a worker that died after their trigger was canceled."""
    abandoned_before = now - timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + settings.LEASE_SECONDS)
    orphans = list(
        Step.objects.filter(status=StepStatus.RUNNING, started_at__lt=abandoned_before)
        .exclude(trigger__status=TriggerStatus.PROCESSING)
        .values_list("pk", flat=True)[:MOST_PER_TICK]
    )
    if not orphans:
        return 0
    return Step.objects.filter(pk__in=orphans, status=StepStatus.RUNNING).update(
        status=StepStatus.IN_DOUBT, finished_at=now
    )
