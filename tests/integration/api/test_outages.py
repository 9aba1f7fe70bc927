"""The API while PostgreSQL, the broker or the cache is away: 503 and back again, or accepting all the same."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import psycopg
import pytest
from django.core.cache import caches
from django.db import connection, connections, transaction
from django.test import RequestFactory
from pytest_django import Settings

from accounts.models import User
from notifyflow.celery import app
from tests.conftest import access_token
from tests.factories import ANN, UserFactory, WorkflowFactory
from tests.fakes.proxy import Proxy
from tests.front import served
from tests.integration.api.answers import JSON, errors_of
from tests.integration.api.test_health import redis_cache
from tests.integration.brokers.conftest import connected_to
from triggers import bells
from triggers.models import Trigger

pytestmark = pytest.mark.django_db(transaction=True)

# Longer than any wait for something silent may take, for a machine that is busy with other tests.
BOUND_SECONDS = 12
# Two seconds, as long as libpq takes for a connection at the least, for all parts together.
READY_SECONDS = 3.5


class Service:
    """The service as one web thread serves it: with a connection of its own that it keeps between requests."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._thread = ThreadPoolExecutor(1)

    def ask(self, method: str = "GET", path: str = "/api/v1/triggers/", body: Any = None, **more: Any) -> Any:
        """Return the answer to a request."""
        return self._thread.submit(self._ask, method, path, body, **more).result(60)

    def _ask(self, method: str, path: str, body: Any, **more: Any) -> Any:
        head = {"Authorization": f"Bearer {self.token}"}
        request = RequestFactory().generic(method, path, json.dumps(body), content_type=JSON, headers=head, **more)
        return served(request.environ)

    def trigger(self, key: str = "k") -> Any:
        """Ask for a trigger."""
        return self.ask("POST", body={"workflow": "known", "idempotency_key": key, "recipient": ANN})

    def stop(self) -> None:
        """Close the thread's connection and end it."""
        self._thread.submit(connections.close_all).result(10)
        self._thread.shutdown()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Run a proxy in front of PostgreSQL."""
    with Proxy((connection.settings_dict["HOST"], int(connection.settings_dict["PORT"] or 5432))) as running:
        yield running


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> dict[str, Any]:
    """Return the settings of connections that the service will make: through the proxy."""
    changed = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": proxy.port}
    changed["OPTIONS"] = {**changed["OPTIONS"], "connect_timeout": 2}
    monkeypatch.setitem(connections.settings, "default", changed)
    return changed


@pytest.fixture
def service(database: dict[str, Any]) -> Iterator[Service]:
    """Return the service, with a workflow to trigger."""
    WorkflowFactory(key="known")
    running = Service(access_token(UserFactory()))
    yield running
    running.stop()


def check_unavailable(answer: Any) -> None:
    assert (answer.status_code, errors_of(answer)) == (503, [(None, "database_unavailable")])
    assert int(answer.headers["Retry-After"]) > 0


ROUTES = [
    ("GET", "/api/v1/triggers/"),
    ("GET", "/api/v1/me/"),
    ("GET", "/api/v1/users/"),
    ("GET", "/api/v1/steps/"),
    ("GET", "/api/v1/audit/"),
    ("GET", "/api/v1/workflows/known/"),
    ("POST", "/api/v1/workflows/known/activate/"),
    ("POST", "/api/v1/auth/token/"),
]


@pytest.mark.parametrize("outage", ["refusing", "starting", "silent"])
def test_every_route_says_that_the_database_is_away_and_works_again_without_a_restart(
    service: Service, proxy: Proxy, outage: str
) -> None:
    assert service.ask().status_code == 200
    away: Callable[[], Any] = getattr(proxy, outage)

    with away():
        for method, path in ROUTES if outage != "silent" else ROUTES[:2]:
            body = {"username": "ann", "password": "guess"} if path.endswith("token/") else None
            begun = monotonic()
            check_unavailable(service.ask(method, path, body))
            assert monotonic() - begun < BOUND_SECONDS
        check_unavailable(service.trigger())

    assert service.ask().status_code == 200
    assert service.trigger().status_code == 202


def test_a_connection_that_was_killed_between_two_requests_is_replaced(service: Service, proxy: Proxy) -> None:
    assert service.ask().status_code == 200

    proxy.cut()

    assert service.trigger().status_code == 202


def test_a_trigger_whose_commit_got_no_answer_stands_once_when_it_is_asked_for_again(
    service: Service, proxy: Proxy
) -> None:
    """Invariant 2, when nobody knows whether the first one was stored."""
    assert service.ask().status_code == 200
    # The statement is prepared before; what carries the key inserts and commits.
    proxy.lose_answer_to(b"commit-without-answer")

    check_unavailable(service.trigger("commit-without-answer"))
    again = service.trigger("commit-without-answer")

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert Trigger.objects.count() == 1


def test_a_session_that_is_terminated_in_mid_request(service: Service) -> None:
    service.ask()
    with transaction.atomic():
        # The request waits for this lock while its session is ended.
        User.objects.select_for_update().get()
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE accounts_user IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as other, psycopg.connect(**_address()) as ending:
            waiting = other.submit(service.ask)
            query = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            until = monotonic() + 20
            while monotonic() < until and ending.execute(query).fetchone() == (0,):
                ending.rollback()
            check_unavailable(waiting.result(30))

    assert service.ask().status_code == 200


def test_a_statement_that_takes_too_long(service: Service, database: dict[str, Any]) -> None:
    database["OPTIONS"]["options"] = "-c statement_timeout=300ms"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE accounts_user IN ACCESS EXCLUSIVE MODE")
        check_unavailable(service.ask())


def test_a_standby_is_left_for_the_primary(service: Service, database: dict[str, Any]) -> None:
    """After a failover a connection to what is a standby now answers well, and takes no writes."""
    database["OPTIONS"]["options"] = "-c default_transaction_read_only=on"
    check_unavailable(service.trigger())
    database["OPTIONS"]["options"] = ""

    assert service.trigger().status_code == 202


def test_a_server_whose_connections_are_used_up(service: Service, database: dict[str, Any]) -> None:
    role = f"full_{connection.settings_dict['NAME']}"[:63]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'full' CONNECTION LIMIT 0")
    try:
        database |= {"USER": role, "PASSWORD": "full"}
        check_unavailable(service.ask())
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP ROLE "{role}"')


def test_a_bug_stays_a_500(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE triggers_trigger RENAME TO elsewhere")
    try:
        answer = service.ask()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO triggers_trigger")

    assert (answer.status_code, errors_of(answer)) == (500, [(None, "error")])


def test_the_admin_shows_a_plain_page(service: Service, proxy: Proxy) -> None:
    with proxy.refusing():
        answer = service.ask("GET", "/admin/", HTTP_COOKIE="sessionid=abcdefghijklmnopqrstuvwxyz012345")

    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert int(answer.headers["Retry-After"]) > 0
    assert b"psycopg" not in answer.content


@pytest.fixture
def silent_rest(silent_port: int, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a broker and a cache that say nothing."""
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{silent_port}/0")
    settings.CACHES = redis_cache(silent_port)


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.usefixtures("silent_rest")
def test_readiness_is_answered_soon_while_everything_is_silent(service: Service, proxy: Proxy, is_kept: bool) -> None:
    if is_kept:
        assert service.ask("GET", "/readyz").status_code == 503
    with proxy.silent():
        begun = monotonic()
        answer = service.ask("GET", "/readyz")
        took = monotonic() - begun

    checks = json.loads(answer.content)["checks"]
    assert (answer.status_code, {name for name, part in checks.items() if part["ok"]}) == (503, set())
    assert took < READY_SECONDS


def test_readiness_gets_over_a_connection_that_was_cut(service: Service, proxy: Proxy) -> None:
    assert service.ask().status_code == 200

    proxy.cut()

    checks = json.loads(service.ask("GET", "/readyz").content)["checks"]
    assert checks["database"] == {"ok": True}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port where somebody listens and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def closed_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


BROKERS = {
    "amqp": ("amqp://guest:guest@127.0.0.1:{}//", {"confirm_publish": True, "confirm_timeout": 2}),
    "redis": ("redis://127.0.0.1:{}/0", {"socket_timeout": 2, "socket_connect_timeout": 2}),
}


@pytest.mark.parametrize("scheme", BROKERS)
@pytest.mark.parametrize("how", ["silent_port", "closed_port"])
def test_triggers_are_accepted_while_the_broker_is_away(
    service: Service, scheme: str, how: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, options = BROKERS[scheme]
    tries: list[object] = []
    send = app.send_task

    def count_and_send(*args: Any, **more: Any) -> Any:
        tries.append(args)
        return send(*args, **more)

    monkeypatch.setattr(app, "send_task", count_and_send)
    with connected_to(url.format(request.getfixturevalue(how)), options):
        begun = monotonic()
        for number in range(20):
            # Each of its own lane's moment: no flag of an earlier one keeps it from ringing.
            caches["default"].clear()
            assert service.trigger(f"k{number}").status_code == 202
        took = monotonic() - begun

    assert Trigger.objects.count() == 20
    # One found out, and one more may have looked again since: not each request.
    assert 1 <= len(tries) <= 1 + took / bells.AWAY_SECONDS
    assert len(tries) < 20


@pytest.mark.parametrize("how", ["silent_port", "closed_port"])
def test_triggers_are_accepted_while_the_cache_is_away(
    service: Service, how: str, request: pytest.FixtureRequest, settings: Settings
) -> None:
    port = request.getfixturevalue(how)
    settings.CACHES = redis_cache(port)
    begun = monotonic()
    for number in range(20):
        assert service.trigger(f"k{number}").status_code == 202
    took = monotonic() - begun
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

    assert Trigger.objects.count() == 20
    assert took < 20 + BOUND_SECONDS


def _address() -> dict[str, Any]:
    given = connection.settings_dict
    return {
        "host": given["HOST"], "port": given["PORT"] or 5432, "user": given["USER"], "password": given["PASSWORD"],
        "dbname": given["NAME"],
    }  # fmt: skip
