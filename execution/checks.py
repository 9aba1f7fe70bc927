"""System checks: settings that would let a lease run out under a worker that is alive."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

# Whoever runs only some of the checks, as a web process does before it starts, names these by it.
TIME_LIMITS = "time_limits"
# A silent provider costs one time-out, or two on a connection that was kept; one that answers each word of SMTP at the
# last moment costs seven.
WAITS_OF_A_SILENT_PROVIDER = 2
WAITS_OF_A_SLOW_PROVIDER = 7


@register(TIME_LIMITS)
def check_time_limits(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Compare lease, send time-out and Celery's limits."""
    found: list[CheckMessage] = []
    longest_send = settings.PROVIDER_TIMEOUT_SECONDS * WAITS_OF_A_SLOW_PROVIDER
    silent_send = settings.PROVIDER_TIMEOUT_SECONDS * WAITS_OF_A_SILENT_PROVIDER
    if settings.CLAIM_WORK_SECONDS < 1:
        found.append(
            Error(
                f"CLAIM_WORK_SECONDS is {settings.CLAIM_WORK_SECONDS}: a batch would give everything back unsent.",
                hint="Set it to 1 or more.",
                id="execution.E003",
            )
        )
    if settings.SEND_THREADS < 1:
        found.append(
            Error(
                f"SEND_THREADS is {settings.SEND_THREADS}: nothing would ever be sent.",
                hint="Set it to 1 or more, or leave it out.",
                id="execution.E005",
            )
        )
    if silent_send >= settings.LEASE_SECONDS:
        found.append(
            Error(
                f"LEASE_SECONDS is {settings.LEASE_SECONDS}, but a send to a silent provider takes {silent_send:g} s.",
                hint=f"Set LEASE_SECONDS above {silent_send:g}, which is {WAITS_OF_A_SILENT_PROVIDER} times "
                "PROVIDER_TIMEOUT_SECONDS, or lower PROVIDER_TIMEOUT_SECONDS.",
                id="execution.E001",
            )
        )
    if settings.CLAIM_WORK_SECONDS + longest_send > settings.CELERY_TASK_SOFT_TIME_LIMIT:
        found.append(
            Error(
                "A batch may work for CLAIM_WORK_SECONDS and then wait for its last sends: longer than the soft "
                f"time limit of {settings.CELERY_TASK_SOFT_TIME_LIMIT} s (twice LEASE_SECONDS).",
                hint="Raise LEASE_SECONDS or lower CLAIM_WORK_SECONDS.",
                id="execution.E002",
            )
        )
    return found
