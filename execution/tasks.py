"""The Celery tasks; the retries here guard a task against a database that is away, never a message (see `retry`).

Celery keeps a connection from task to task, and a broken one too: each task drops first what does not answer any more.
"""

from typing import Any

from celery import shared_task
from django.db import close_old_connections

from execution.clock import database_now
from execution.runner import AWAY, advance_lane
from execution.sweep import sweep as run_sweep
from triggers.bells import ADVANCE_TASK

GUARDED: dict[str, Any] = {
    "acks_late": True,
    "ignore_result": True,
    "autoretry_for": AWAY,
    "retry_backoff": True,
    "retry_backoff_max": 30,
    "retry_jitter": True,
    "max_retries": 5,
}


@shared_task(name=ADVANCE_TASK, **GUARDED)
def advance_due(lane: str) -> None:
    """Carry what is due in a lane as far as it goes now."""
    close_old_connections()
    advance_lane(lane)


@shared_task(name="execution.sweep", **{**GUARDED, "max_retries": 0})
def sweep() -> None:
    """Repair and ring; the next tick of the beat is the retry."""
    close_old_connections()
    run_sweep(now=database_now())
