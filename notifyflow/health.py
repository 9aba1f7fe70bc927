"""Health: alive, and ready (database, broker, age of the last sweep)."""

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db import Error as DatabaseFault
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from execution.models import SweepTick

# The beat ticks each second; this many seconds without a tick mean that nothing late is being repaired.
OLDEST_SWEEP = timedelta(seconds=30)
# Whoever asks whether this process is ready waits so long for each part that says nothing, about.
ANSWER_SECONDS = 2


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Say for each part whether it is there; 503 unless all are."""
    with _database_answering_soon():
        database = _database()
        sweep = _sweep() if database["ok"] else {"ok": False, "detail": "unknown"}
    checks = {"database": database, "broker": _broker(), "sweep": sweep}
    is_ready = all(check["ok"] for check in checks.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": checks}, status=200 if is_ready else 503
    )


def _database_answering_soon() -> AbstractContextManager[None]:
    answering_within = getattr(connection, "answering_within", None)
    return answering_within(ANSWER_SECONDS) if answering_within else nullcontext()


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseFault as error:
        return {"ok": False, "detail": type(error).__name__}
    return {"ok": True}


def _broker() -> dict[str, Any]:
    with current_app.connection_for_write(connect_timeout=1) as broker:
        if broker.transport.driver_type == "redis":
            # Redis takes the connection's time-out for the connecting alone.
            limits = {"socket_timeout": 1, "socket_connect_timeout": 1}
            broker.transport_options = {**(broker.transport_options or {}), **limits}
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=ANSWER_SECONDS)
        except _broker_faults(broker) as error:
            return {"ok": False, "detail": type(error).__name__}
    return {"ok": True}


def _broker_faults(broker: Any) -> tuple[type[BaseException], ...]:
    """Return what a look at the broker raises: kombu wraps what may pass, not a wrong password or virtual host."""
    return (OperationalError, OSError, *broker.connection_errors, *broker.channel_errors)


def _sweep() -> dict[str, Any]:
    try:
        tick = SweepTick.objects.filter(pk=1).first()
    except DatabaseFault as error:
        return {"ok": False, "detail": type(error).__name__}
    if tick is None:
        return {"ok": False, "detail": "never"}
    age = timezone.now() - tick.ticked_at
    return {"ok": age <= OLDEST_SWEEP, "age_seconds": round(age.total_seconds(), 1)}
