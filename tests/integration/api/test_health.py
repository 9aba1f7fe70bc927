"""`/healthz` and `/readyz`: each part that fails is named, soon, and without a secret."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import InterfaceError, connection
from django.utils import timezone
from pytest_django import Settings

from execution.models import SweepTick
from notifyflow import health
from tests.integration.api.answers import call, stranger
from tests.settings import TEST_AMQP_URL

pytestmark = pytest.mark.django_db

SECRET = "a-secret-password"
# The slowest way to find nothing is two seconds, whatever is silent; the rest is for a busy machine.
SOON_SECONDS = 3.5


@pytest.fixture
def swept() -> SweepTick:
    """Return the tick of a sweep that has just been."""
    return SweepTick.objects.create(pk=1, ticked_at=timezone.now())


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port where somebody listens and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def redis_cache(port: int) -> dict[str, Any]:
    """Return the settings of a cache in Redis, as `notifyflow.settings` makes them."""
    limits = {"socket_timeout": 1, "socket_connect_timeout": 1}
    location = f"redis://:{SECRET}@127.0.0.1:{port}/0"
    backend = "django.core.cache.backends.redis.RedisCache"
    return {"default": {"BACKEND": backend, "LOCATION": location, "OPTIONS": limits}}


def look() -> tuple[int, Any]:
    """Return the status of `/readyz` and what it says; it says so soon, and no secret."""
    started = monotonic()
    answer = call(stranger(), "GET", "/readyz")
    assert monotonic() - started < SOON_SECONDS
    assert SECRET not in answer.content.decode()
    assert answer.headers["X-Request-ID"]
    return answer.status_code, answer.json()


def failing(body: Any) -> list[str]:
    """Return the names of the parts that are not there."""
    assert body["status"] == ("unavailable" if any(not part["ok"] for part in body["checks"].values()) else "ok")
    return [name for name, part in body["checks"].items() if not part["ok"]]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_alive_needs_nothing(method: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        answer = call(stranger(), method, "/healthz")

    assert (answer.status_code, answer.content) == (200, b"" if method == "HEAD" else b'{"status": "ok"}')


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_read_only(path: str) -> None:
    answer = call(stranger(), "POST", path)

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_ready_when_all_parts_are_there(swept: SweepTick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", TEST_AMQP_URL)

    status, body = look()

    age = body["checks"]["sweep"].pop("age_seconds")
    assert 0 <= age < SOON_SECONDS
    parts = {name: {"ok": True} for name in ("database", "broker", "cache", "sweep")}
    assert (status, body) == (200, {"status": "ok", "checks": parts})


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_is_away(swept: SweepTick, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"{scheme}://ann:{SECRET}@127.0.0.1:{closed_port()}/0")

    status, body = look()

    assert (status, failing(body)) == (503, ["broker"])


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_broker_that_says_nothing(
    swept: SweepTick, monkeypatch: pytest.MonkeyPatch, silent_port: int, scheme: str
) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"{scheme}://ann:{SECRET}@127.0.0.1:{silent_port}/0")

    status, body = look()

    assert (status, failing(body)) == (503, ["broker"])


@pytest.mark.parametrize("how", ["silent", "closed"])
def test_a_cache_that_is_away(
    swept: SweepTick, settings: Settings, monkeypatch: pytest.MonkeyPatch, silent_port: int, how: str
) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", TEST_AMQP_URL)
    settings.CACHES = redis_cache(silent_port if how == "silent" else closed_port())

    status, body = look()

    assert (status, failing(body)) == (503, ["cache"])


def test_a_broker_and_a_cache_that_say_nothing_are_waited_for_together(
    swept: SweepTick, settings: Settings, monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://ann:{SECRET}@127.0.0.1:{silent_port}/0")
    settings.CACHES = redis_cache(silent_port)

    status, body = look()

    assert (status, failing(body)) == (503, ["broker", "cache"])


@pytest.mark.parametrize("change", ["password", "vhost"])
def test_a_broker_that_lets_nobody_in(swept: SweepTick, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    url = urlsplit(TEST_AMQP_URL)
    netloc = f"ann:{SECRET}@{url.hostname}:{url.port}" if change == "password" else url.netloc
    path = url.path if change == "password" else f"/{SECRET}"
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", urlunsplit((url.scheme, netloc, path, "", "")))

    status, body = look()

    assert (status, failing(body)) == (503, ["broker"])


def test_a_database_that_is_away(swept: SweepTick, monkeypatch: pytest.MonkeyPatch) -> None:
    away = connection.copy()
    away.settings_dict = {**away.settings_dict, "PORT": closed_port(), "PASSWORD": SECRET}
    monkeypatch.setattr(health, "connection", away)

    status, body = look()

    # Where there is no database, nobody knows of its sweeps.
    assert (status, failing(body)) == (503, ["database", "sweep"])
    assert body["checks"]["database"]["detail"] == "OperationalError"


def test_a_connection_that_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise InterfaceError(f"the connection is closed: {SECRET}")

    monkeypatch.setattr(connection, "cursor", broken)
    monkeypatch.setattr(SweepTick.objects, "filter", broken)

    status, body = look()

    assert (status, failing(body)) == (503, ["database", "sweep"])


def test_a_sweep_that_never_was() -> None:
    status, body = look()

    assert (status, failing(body)) == (503, ["sweep"])
    assert body["checks"]["sweep"]["detail"] == "never"


@pytest.mark.parametrize(("age", "status"), [(timedelta(seconds=25), 200), (timedelta(seconds=31), 503)])
def test_a_sweep_that_was_long_ago(swept: SweepTick, age: timedelta, status: int) -> None:
    SweepTick.objects.update(ticked_at=timezone.now() - age)

    found, body = look()

    assert (found, failing(body)) == (status, ["sweep"] if status == 503 else [])
    assert age.total_seconds() <= body["checks"]["sweep"]["age_seconds"] < age.total_seconds() + SOON_SECONDS


def test_nothing_else_is_said(swept: SweepTick) -> None:
    """No version, address, user or queue name: whoever may look needs none of them."""
    _, body = look()

    assert set(body) == {"status", "checks"}
    assert {name for part in body["checks"].values() for name in part} <= {"ok", "detail", "age_seconds"}
