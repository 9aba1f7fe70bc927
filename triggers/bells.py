"""Bells: the one place that starts what lies above this room, by task name; a bell carries no work.

A flag in the cache keeps a lane from being rung again while its bell is on the way; the task lowers the flag before
it claims. Every failure here is logged and let go: the sweep rings for whatever stays due (DESIGN section 6).
"""

import logging
from datetime import datetime, timedelta

import redis.exceptions
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError

from workflows.priorities import LANES

logger = logging.getLogger(__name__)

ADVANCE_TASK = "execution.advance_due"
# A bell that got lost keeps its flag up for this long at most; then the sweep's next look rings again.
FLAG_SECONDS = 5
# Beyond this the sweep rings: a worker would hold a longer countdown in memory, unacknowledged.
LONGEST_COUNTDOWN = timedelta(seconds=60)
# Delays that end within the same quarter of a second share one bell.
COUNTDOWN_GRAIN_SECONDS = 0.25
# One more try finds a fresh connection when the pooled one went stale; a broker that is away costs two time-outs.
PUBLISH_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


def queue_of(lane: str) -> str:
    """Return the queue that a lane's bells go to."""
    return f"{settings.QUEUE_PREFIX}.{lane}"


def lane_queues() -> list[str]:
    """Return the queues of all lanes, the most urgent first."""
    return [queue_of(lane) for lane in LANES]


def ring(lane: str) -> None:
    """Say that `lane` has work now, unless a bell for it is on the way. Never raises for a broker or cache."""
    if _raise_flag(lane, FLAG_SECONDS):
        _send(lane)


def ring_at(lane: str, moment: datetime, *, now: datetime) -> None:
    """Say at `moment` that `lane` has work, when that is near; a later one is left to the sweep."""
    wait = moment - now
    if wait <= timedelta(0):
        ring(lane)
    elif wait <= LONGEST_COUNTDOWN:
        slot = int(-(-moment.timestamp() // COUNTDOWN_GRAIN_SECONDS))
        countdown = max(slot * COUNTDOWN_GRAIN_SECONDS - now.timestamp(), 0.0)
        if _raise_flag(f"{lane}:{slot}", int(countdown) + FLAG_SECONDS):
            _send(lane, countdown=countdown)


def lower_flag(lane: str) -> None:
    """Let `lane` be rung again; called by the task before it claims, so that no later trigger is overlooked."""
    try:
        cache.delete(f"bell:{lane}")
    except (OSError, redis.exceptions.RedisError) as error:
        logger.warning("The cache did not lower the bell flag of lane %s: %s", lane, error)


def _raise_flag(name: str, seconds: int) -> bool:
    """Return whether the flag was down; without a cache it counts as down: a needless bell costs one empty query."""
    try:
        return cache.add(f"bell:{name}", 1, timeout=seconds)
    except (OSError, redis.exceptions.RedisError) as error:
        logger.warning("The cache did not keep the bell flag %s: %s", name, error)
        return True


def _send(lane: str, *, countdown: float | None = None) -> None:
    try:
        current_app.send_task(
            ADVANCE_TASK,
            args=[lane],
            queue=queue_of(lane),
            countdown=countdown,
            retry=True,
            retry_policy=PUBLISH_RETRY,
            ignore_result=True,
        )
    except _broker_errors() as error:
        # The flag stays up: the next requests don't wait for a broker that is away.
        logger.warning("The broker did not take the bell for lane %s; the sweep will ring: %s", lane, error)


def _broker_errors() -> tuple[type[BaseException], ...]:
    connection = current_app.connection_for_write()
    return (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors)
