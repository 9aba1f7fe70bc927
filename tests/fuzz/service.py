"""The service that is fuzzed: granian on a PostgreSQL database of its own, with an account for each role."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from accounts.roles import Role
from tests.e2e.client import Client
from tests.e2e.processes import BIN, Processes, answers, free_port, wait_until
from tests.settings import RUN, TEST_DATABASE_URL, TEST_REDIS_URL

PASSWORD = "correct horse battery staple"
PREFIX = f"notifyflow-fuzz-{RUN}"
ANONYMOUS = "anonymous"
CALLERS = (ANONYMOUS, *(role.value for role in Role))
TRIGGERS = 20
KEPT, CHANGED = "order-shipped", "order-changed"
# What no request may leave in the log.
CRASH = "Traceback"
WORKFLOW: dict[str, Any] = {
    "name": "Order shipped",
    "entry_node_id": "mail",
    "nodes": [
        {"id": "mail", "type": "email", "subject": "Order {{ order.id }}", "body": "Hi {{ recipient.name }}"},
        {"id": "wait", "type": "delay", "duration": "PT0S"},
        {"id": "text", "type": "sms", "body": "Order {{ order.id }}"},
    ],
    "edges": [{"from": "mail", "to": "wait"}, {"from": "wait", "to": "text", "when": "order.total > 10"}],
}


@dataclass(frozen=True)
class Service:
    """A service that answers at `url`, and what there is in it to begin with.

    `accounts` are the ids of the callers' own users and `kept` the names of the workflow that is triggered, which a
    round must not change; other `users`, `machines` and workflows are there to be changed.
    """

    url: str
    processes: Processes
    accounts: list[str]
    users: list[str]
    machines: list[str]
    triggers: list[str]
    kept: list[str]

    def crashes(self) -> str:
        """Return what the web processes have logged from the first crash on."""
        log = self.processes.log("web")
        return log[log.index(CRASH) - 500 :][:4000] if CRASH in log else ""

    def token(self, caller: str) -> str:
        """Sign in and return the access token; nothing for the stranger."""
        return "" if caller == ANONYMOUS else Client(self.url, username=f"fuzz-{caller}", password=PASSWORD).token


@contextmanager
def running(folder: Path) -> Iterator[Service]:
    """Start the service with its logs in `folder`, fill it, and stop it."""
    with _database() as database, Processes(folder, _environment(database, folder)) as processes:
        processes.manage("migrate", "--verbosity", "0")
        processes.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org")
        port = free_port()
        web = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "2")
        processes.start("web", str(BIN / "granian"), *web, "notifyflow.wsgi:application")
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/healthz"), seconds=60, what="the web processes answer")
        yield _filled(url, processes)


def _filled(url: str, processes: Processes) -> Service:
    root = Client(url, username="root", password=PASSWORD)

    def user(name: str, role: str, **more: Any) -> str:
        body = {"username": name, "email": f"{name}@example.org", "role": role, **more}
        if not more:
            body["password"] = PASSWORD
        return _id(root.post("users/", body))

    accounts = [user(f"fuzz-{role}", role) for role in Role]
    users = [user(f"disposable-{number}", Role.TRIGGER_OPERATOR) for number in range(3)]
    machines = [user(f"machine-{number}", Role.WORKER_SERVICE, is_service=True) for number in range(2)]
    kept, _ = (_id(root.post("workflows/", {**WORKFLOW, "key": key})) for key in (KEPT, CHANGED))
    _id(root.post(f"workflows/{KEPT}/activate/"))
    recipient = {"name": "Ann", "email": "ann@example.org", "phone": "+14155550142"}
    wanted = {"workflow": KEPT, "recipient": recipient, "context": {"order": {"id": 17, "total": 20}}}
    triggers = [_id(root.post("triggers/", {**wanted, "idempotency_key": f"k{number}"})) for number in range(TRIGGERS)]
    _, me = root.get("me/")
    service = Service(url, processes, [me["id"], *accounts], users, machines, triggers, [kept, KEPT])
    # So that there are steps to be read.
    worker = Client(url, username=f"fuzz-{Role.WORKER_SERVICE}", password=PASSWORD)
    for trigger in triggers[:3]:
        _id(worker.post(f"triggers/{trigger}/process/"))
    return service


def _id(answer: tuple[int, Any]) -> str:
    status, body = answer
    assert status < 300, body
    return str(body["id"])


def _environment(database: str, folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
    return {
        **inherited,
        "SECRET_KEY": "a-key-for-tests-only-" + "x" * 40,
        "DATABASE_URL": database,
        # No worker listens: what a round triggers waits, and is run by the calls to `process/` alone.
        "CELERY_BROKER_URL": "memory://",
        "CACHE_URL": f"{TEST_REDIS_URL}/0",
        "CACHE_KEY_PREFIX": PREFIX,
        "QUEUE_PREFIX": PREFIX,
        "NOTIFYFLOW_VAR": str(folder / "var"),
        "EMAIL_URL": "outbox://",
        "SMS_PROVIDER": "outbox",
        "TOKEN_THROTTLE": "1000000/min",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }


@contextmanager
def _database() -> Iterator[str]:
    name = f"notifyflow_fuzz_{RUN}"
    with psycopg.connect(TEST_DATABASE_URL, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(TEST_DATABASE_URL)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(TEST_DATABASE_URL, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
