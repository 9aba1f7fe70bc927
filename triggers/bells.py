"""Bells: the one place that starts what lies above this room, by task name; a bell carries no work.

A flag in the cache keeps a lane from being rung again while its bell is on the way; the task lowers the flag before
it claims. Every failure here is logged and let go: the sweep rings for whatever stays due (DESIGN section 6). A broker
or cache that is silent costs a time-out to find out, so a process that has found out asks no more for a few seconds.
"""

import logging
import threading
from datetime import datetime, timedelta
from time import monotonic

import redis.exceptions
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

from workflows.priorities import LANES

logger = logging.getLogger(__name__)

ADVANCE_TASK = "execution.advance_due"
# A bell that got lost keeps its flag up for this long at most; then the sweep's next look rings again. With a look each
# second and what a worker takes to begin, work whose bell got lost begins within five seconds.
FLAG_SECONDS = 3
# Beyond this the sweep rings: a worker would hold a longer countdown in memory, unacknowledged.
LONGEST_COUNTDOWN = timedelta(seconds=60)
# Delays that end within the same quarter of a second share one bell.
COUNTDOWN_GRAIN_SECONDS = 0.25
# How long a process goes without a broker or cache that did not answer: a look may take as long as its time-outs.
AWAY_SECONDS = 3
# One more try finds a fresh connection when the pooled one went stale; a broker that is away costs two time-outs.
PUBLISH_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
CACHE_FAULTS = (OSError, redis.exceptions.RedisError)


class Pause:
    """How long this process leaves alone what did not answer; when that is over, one caller tries for all."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._lock = threading.Lock()

    def is_on(self) -> bool:
        """Say whether to go without; a caller who is told no has to tell what came of trying."""
        if self._until is None:
            return False
        with self._lock:
            until, now = self._until, monotonic()
            if until is None or now < until:
                return until is not None
            # The others go on without, until this caller knows.
            self._until = now + AWAY_SECONDS
            return False

    def begin(self) -> bool:
        """Leave it alone from now on; say whether that is news."""
        with self._lock:
            is_news = self._until is None
            self._until = monotonic() + AWAY_SECONDS
            return is_news

    def end(self) -> None:
        """It has answered."""
        self._until = None


broker_pause = Pause()
cache_pause = Pause()


def queue_of(lane: str) -> str:
    """Return the queue that a lane's bells go to."""
    return f"{settings.QUEUE_PREFIX}.{lane}"


def lane_queues() -> list[str]:
    """Return the queues of all lanes, the most urgent first."""
    return [queue_of(lane) for lane in LANES]


def ring(lane: str) -> None:
    """Say that `lane` has work now, unless a bell for it is on the way. Never raises for a broker or cache."""
    if broker_pause.is_on():
        # No flag either: it would keep from ringing whoever has a broker.
        return
    if _raise_flag(lane, FLAG_SECONDS):
        _send(lane)


def ring_at(lane: str, moment: datetime, *, now: datetime) -> None:
    """Say at `moment` that `lane` has work, when that is near; a later one is left to the sweep."""
    wait = moment - now
    if wait <= timedelta(0):
        ring(lane)
    elif wait <= LONGEST_COUNTDOWN and not broker_pause.is_on():
        slot = int(-(-moment.timestamp() // COUNTDOWN_GRAIN_SECONDS))
        countdown = max(slot * COUNTDOWN_GRAIN_SECONDS - now.timestamp(), 0.0)
        if _raise_flag(f"{lane}:{slot}", int(countdown) + FLAG_SECONDS):
            _send(lane, countdown=countdown)


def ring_on_commit(lane: str, moment: datetime, *, now: datetime) -> None:
    """Say so when the transaction that is under way has been committed; at once when there is none."""

    # No partial: for one that fails, Django asks the name, finds none, and raises after all.
    def ring_then() -> None:
        ring_at(lane, moment, now=now)

    transaction.on_commit(ring_then, robust=True)


def lower_flag(lane: str) -> None:
    """Let `lane` be rung again; called by the task before it claims, so that no later trigger is overlooked."""
    if cache_pause.is_on():
        return
    try:
        cache.delete(f"bell:{lane}")
    except CACHE_FAULTS as error:
        _miss_cache(error)
    else:
        cache_pause.end()


def _raise_flag(name: str, seconds: int) -> bool:
    """Return whether the flag was down; without a cache it counts as down: a needless bell costs one empty query."""
    if cache_pause.is_on():
        return True
    try:
        is_raised = cache.add(f"bell:{name}", 1, timeout=seconds)
    except CACHE_FAULTS as error:
        _miss_cache(error)
        return True
    cache_pause.end()
    return is_raised


def _miss_cache(error: Exception) -> None:
    if cache_pause.begin():
        logger.warning("The cache keeps no bell flags, so each trigger rings a bell of its own: %s", error)


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
    except Exception as error:  # noqa: BLE001  # kombu's own, and whatever it meets in a connection that closes under it
        # The flag stays up, so that other processes don't have to find out each for themselves.
        if broker_pause.begin():
            logger.warning("The broker did not take the bell for lane %s; the sweep will ring: %s", lane, error)
    else:
        broker_pause.end()
