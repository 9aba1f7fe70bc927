"""Health: alive, and ready (database, broker, cache, age of the last sweep), told within about two seconds."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from celery import current_app
from django.core.cache import BaseCache, caches
from django.db import Error as DatabaseFault
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from execution.models import SweepTick
from triggers.bells import CACHE_FAULTS

# The beat ticks each second; this many seconds without a tick mean that nothing late is being repaired.
OLDEST_SWEEP = timedelta(seconds=30)
# Whoever asks whether this process is ready waits about so long, however many parts say nothing.
ANSWER_SECONDS = 2
# A server that has cut a connection says so faster than this; one that says nothing takes all the time there is.
AT_ONCE_SECONDS = 0.5

Part = dict[str, Any]


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Say for each part whether it is there; 503 unless all are."""
    until = monotonic() + ANSWER_SECONDS
    broker, cache = _beside(_broker), _beside(partial(_cache, caches["default"]))
    with _database_answering_soon():
        database = _database()
        sweep = _sweep() if database["ok"] else {"ok": False, "detail": "unknown"}
    checks = {"database": database, "broker": _found(broker, until), "cache": _found(cache, until), "sweep": sweep}
    is_ready = all(check["ok"] for check in checks.values())
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": checks}, status=200 if is_ready else 503
    )


def _database_answering_soon() -> AbstractContextManager[None]:
    answering_within = getattr(connection, "answering_within", None)
    return answering_within(ANSWER_SECONDS) if answering_within else nullcontext()


def _beside(look: Callable[[], Part]) -> Future[Part]:
    """Look in a thread of its own, which ends by the time-outs of what it looks at, also when nobody waits any more."""
    found: Future[Part] = Future()

    threading.Thread(target=lambda: found.set_result(look()), name="ready", daemon=True).start()
    return found


def _found(look: Future[Part], until: float) -> Part:
    """Return what a look has found by `until`, by the monotonic clock."""
    try:
        return look.result(max(until - monotonic(), 0))
    except TimeoutError as error:
        return {"ok": False, "detail": type(error).__name__}


def _database() -> Part:
    begun, is_kept = monotonic(), connection.connection is not None
    # What is asked here is the health check: Django's own, before it, would wait for a silent server a second time.
    connection.health_check_done = True  # type: ignore[attr-defined]  # not in the stubs
    fault = _database_fault()
    if fault and is_kept and not connection.in_atomic_block and monotonic() - begun < AT_ONCE_SECONDS:
        # The server may have started anew since: a new connection tells.
        connection.close()
        fault = _database_fault()
    return {"ok": True} if fault is None else {"ok": False, "detail": type(fault).__name__}


def _database_fault() -> DatabaseFault | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseFault as error:
        return error
    return None


def _cache(cache: BaseCache) -> Part:
    try:
        cache.get("ready")
    except CACHE_FAULTS as error:
        return {"ok": False, "detail": type(error).__name__}
    return {"ok": True}


def _broker() -> Part:
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


def _sweep() -> Part:
    try:
        tick = SweepTick.objects.filter(pk=1).first()
    except DatabaseFault as error:
        return {"ok": False, "detail": type(error).__name__}
    if tick is None:
        return {"ok": False, "detail": "never"}
    age = timezone.now() - tick.ticked_at
    return {"ok": age <= OLDEST_SWEEP, "age_seconds": round(age.total_seconds(), 1)}
