"""The full profile on PostgreSQL and RabbitMQ: web, two workers and beat as processes, one worker killed."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from celery import Celery
from psycopg.rows import dict_row

from tests.e2e.client import Client
from tests.e2e.processes import BIN, Processes, answers, free_port, wait_until
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio
from tests.settings import RUN, TEST_AMQP_URL, TEST_DATABASE_URL, TEST_REDIS_URL, WORKER

pytestmark = pytest.mark.e2e

TRIGGERS = 300
PASSWORD = "correct horse battery staple"
PREFIX = f"notifyflow-e2e-{RUN}-{WORKER}"
LANES = ("critical", "high", "medium", "low", "sweep")
WORKFLOW: dict[str, Any] = {
    "key": "order-shipped",
    "name": "Order shipped",
    "entry_node_id": "confirm",
    "nodes": [
        {"id": "confirm", "type": "email", "subject": "Order {{ order.id }}", "body": "Hi {{ recipient.name }}"},
        {"id": "wait", "type": "delay", "delay_ms": 2000},
        {"id": "text", "type": "sms", "body": "Order {{ order.id }} arrives today"},
        {"id": "offer", "type": "email", "subject": "Thank you", "body": "Order {{ order.id }}"},
        {"id": "feedback", "type": "email", "subject": "How was it?", "body": "Order {{ order.id }}"},
    ],
    "edges": [
        {"from": "confirm", "to": "wait"},
        {"from": "confirm", "to": "offer", "when": "order.total >= 50"},
        {"from": "wait", "to": "text"},
        {"from": "text", "to": "feedback"},
        {"from": "offer", "to": "feedback"},
    ],
}


@pytest.fixture
def database() -> Iterator[str]:
    """Make a database for the processes, and drop it."""
    name = f"notifyflow_e2e_{RUN}_{WORKER}"
    with psycopg.connect(TEST_DATABASE_URL, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    yield urlunsplit(urlsplit(TEST_DATABASE_URL)._replace(path=f"/{name}"))
    with psycopg.connect(TEST_DATABASE_URL, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def queues() -> Iterator[None]:
    """Delete this run's queues at the end."""
    yield
    with Celery(broker=TEST_AMQP_URL).connection_for_write() as connection:
        channel: Any = connection.default_channel
        for lane in LANES:
            channel.queue_delete(f"{PREFIX}.{lane}")


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    """Run an SMTP server."""
    with FakeSmtp() as server:
        yield server


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    """Run a Twilio."""
    with FakeTwilio() as server:
        yield server


@pytest.fixture
def processes(database: str, queues: None, smtp: FakeSmtp, twilio: FakeTwilio, tmp_path: Path) -> Iterator[Processes]:
    """Prepare the full profile's environment, with leases short enough for a test."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))},
        "SECRET_KEY": "a-key-for-tests-only-" + "x" * 40,
        "DATABASE_URL": database,
        "CELERY_BROKER_URL": TEST_AMQP_URL,
        "CACHE_URL": f"{TEST_REDIS_URL}/0",
        "CACHE_KEY_PREFIX": PREFIX,
        "QUEUE_PREFIX": PREFIX,
        "NOTIFYFLOW_VAR": str(tmp_path / "var"),
        "EMAIL_URL": f"smtp://127.0.0.1:{smtp.port}",
        "SMS_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": "+14155550100",
        "TWILIO_API_BASE": twilio.url,
        "PROVIDER_TIMEOUT_SECONDS": "2",
        "LEASE_SECONDS": "10",
        "CLAIM_WORK_SECONDS": "5",
        "CLAIM_LIMIT": "40",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "STATIC_ROOT": str(tmp_path / "static"),
    }
    with Processes(tmp_path, environment) as running:
        running.manage("migrate", "--verbosity", "0")
        running.manage("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org")
        yield running


def start_everything(processes: Processes) -> str:
    """Start web, two workers and beat, and return the web's address once all is ready."""
    port = free_port()
    web = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "2")
    processes.start("web", str(BIN / "granian"), *web, "notifyflow.wsgi:application")
    celery = (sys.executable, "-m", "celery", "-A", "notifyflow")
    worker = (*celery, "worker", "--concurrency", "2", "--without-gossip", "--without-mingle")
    lanes = ",".join(f"{PREFIX}.{lane}" for lane in LANES)
    for name in ("worker-1", "worker-2"):
        processes.start(name, *worker, "-n", f"{name}@%h", "-Q", lanes)
    processes.start("beat", *celery, "beat", "--schedule", str(processes.folder / "beat-schedule"))
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/readyz"), seconds=60, what="web, broker and sweep are ready")
    return url


@pytest.mark.timeout(240)
def test_a_killed_worker_loses_nothing_and_repeats_nothing_without_saying_so(
    processes: Processes, database: str, smtp: FakeSmtp, twilio: FakeTwilio
) -> None:
    client = Client(start_everything(processes), username="root", password=PASSWORD)
    assert client.post("workflows/", WORKFLOW)[0] == 201
    assert client.post("workflows/order-shipped/activate/")[0] == 200

    def trigger(number: int) -> int:
        recipient = {"name": f"Ann {number}", "email": f"ann{number}@example.org", "phone": "+14155552671"}
        context = {"order": {"id": number, "total": number % 100}}
        body = {
            "workflow": "order-shipped",
            "idempotency_key": f"k{number}",
            "recipient": recipient,
            "context": context,
        }
        return client.post("triggers/", body)[0]

    with ThreadPoolExecutor(8) as pool:
        accepted = pool.map(trigger, range(TRIGGERS))
        wait_until(lambda: len(smtp.mails) > TRIGGERS // 4, seconds=60, what="the first quarter of the mails")
        processes.kill("worker-1")
        assert set(accepted) == {202}

    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as looking:

        def under_way() -> int:
            row = looking.execute("SELECT count(*) FROM triggers_trigger WHERE status <> 'completed'").fetchone()
            assert row is not None
            return int(row["count"])

        wait_until(lambda: under_way() == 0, seconds=120, what="every trigger is completed")
        steps = looking.execute("SELECT trigger_id, node_id, attempt, status FROM execution_step").fetchall()

    ended = Counter(
        (step["trigger_id"], step["node_id"]) for step in steps if step["status"] in ("succeeded", "skipped")
    )
    assert len(ended) == TRIGGERS * 5
    assert set(ended.values()) == {1}
    assert {step["status"] for step in steps} <= {"succeeded", "skipped", "in_doubt"}
    skipped = Counter(step["node_id"] for step in steps if step["status"] == "skipped")
    assert skipped == {"offer": TRIGGERS // 2}

    # The kill hit a worker that held something: the sweep had to find it.
    assert "The sweep freed" in processes.log("worker-2")
    doubted = {f"{step['trigger_id']}.{step['node_id']}" for step in steps if step["status"] == "in_doubt"}
    sent = Counter(mail.message["Message-ID"].strip("<>").rpartition("@")[0] for mail in smtp.mails)
    assert len(sent) == TRIGGERS * 2 + TRIGGERS // 2
    assert {key for key, times in sent.items() if times > 1} <= doubted
    assert TRIGGERS <= len(twilio.messages) <= TRIGGERS + len(doubted)
