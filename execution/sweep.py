"""The sweep: finds due or abandoned triggers and rings. Idempotent, bounded, safe with two beats."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from execution.claims import claim_late
from execution.models import Step
from execution.repairs import LONGEST_WAIT, count_repairs, note_tick
from execution.runner import Batch
from execution.sending import Sender
from execution.states import StepStatus
from triggers import bells
from triggers.models import Trigger
from triggers.states import UNDER_WAY, TriggerStatus
from workflows.priorities import LANES

logger = logging.getLogger(__name__)

# What one tick repairs at most; the next tick, a second later, goes on.
MOST_PER_TICK = 1_000


def sweep(*, now: datetime) -> None:
    """Free expired leases, find steps in doubt, ring every lane in which something is due, end what has expired.

    `now` is the time by the clock that leases are taken by (see `clock`). What is due is only found and rung for,
    however much it is: how fast it flows out is for the workers to say, by CLAIM_LIMIT and SEND_THREADS.
    """
    freed = free_expired_leases(now=now)
    doubted = doubt_orphaned_steps(now=now)
    if freed or doubted:
        logger.warning("The sweep freed %d trigger(s) and found %d orphaned step(s) in doubt", freed, doubted)
    waiting = [(lane, since) for lane in LANES if (since := _due_since(lane, now=now)) is not None]
    for lane, _ in waiting:
        bells.ring(lane)
    oldest = min((since for _, since in waiting), default=None)
    if note_tick(now=now, rung_lanes=len(waiting), oldest_due_at=oldest):
        late = ", ".join(lane for lane, since in waiting if since <= now - LONGEST_WAIT)
        logger.warning("Triggers have been due since %s in the lanes %s: are workers running for them?", oldest, late)
    # Last, since it is a worker's work and takes a worker's time.
    if ended := end_expired(now=now):
        logger.info("The sweep ended %d trigger(s) that expired while they waited", ended)


def _due_since(lane: str, *, now: datetime) -> datetime | None:
    """Return since when the oldest due trigger of a lane has waited; one look at an index, however many are due."""
    return Trigger.objects.due(lane=lane, now=now).values_list("available_at", flat=True).first()


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
        doubted = Step.objects.filter(trigger_id__in=expired, status=StepStatus.RUNNING).update(
            status=StepStatus.IN_DOUBT, finished_at=now
        )
        Trigger.objects.filter(pk__in=expired).update(
            status=TriggerStatus.ENQUEUED, claim_id=None, lease_expires_at=None, updated_at=now
        )
        count_repairs(freed_triggers=len(expired), doubted_steps=doubted, now=now)
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
    doubted = 0
    if orphans:
        # A worker that comes back late, or another sweep, may have settled some since the look.
        doubted = Step.objects.filter(pk__in=orphans, status=StepStatus.RUNNING).update(
            status=StepStatus.IN_DOUBT, finished_at=now
        )
    if doubted:
        count_repairs(doubted_steps=doubted, now=now)
    return doubted


def end_expired(*, now: datetime) -> int:
    """End the triggers that have expired and that no worker has taken, whatever they wait for; return how many.

    It takes them as a worker does and drops them by the same rules (docs/adr/0011), so that workers and other sweeps
    may do the same beside it; what it leaves undone is freed when its lease ends. They are counted once they have
    ended: a sweep that is lost right after that leaves a total that is too low.
    """
    # Late by the clock of this host too, which the rules go by: a sweep sends nothing.
    late_at = min(now, timezone.now())
    taken = ended = 0
    for lane in LANES:
        while ended == taken < MOST_PER_TICK and Trigger.objects.late(lane=lane, now=late_at).exists():
            claim = claim_late(lane, limit=min(MOST_PER_TICK - taken, settings.CLAIM_LIMIT), now=late_at)
            if not claim.trigger_ids:
                break
            with Sender(threads=settings.SEND_THREADS) as sender:
                Batch(claim, sender).work_off()
            taken += len(claim.trigger_ids)
            # Fewer have ended when this worker is asked to stop: then there is no further round.
            ended += Trigger.objects.filter(pk__in=claim.trigger_ids).exclude(status__in=UNDER_WAY).count()
    if ended:
        count_repairs(expired_triggers=ended, now=now)
    return ended
