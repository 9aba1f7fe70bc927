"""Real workers on RabbitMQ that are asked to stop, or frozen past their lease, with a provider that keeps a journal."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from tests.e2e.processes import Processes, wait_until
from tests.e2e.test_full_profile import LANES, PREFIX, database, processes, queues, smtp  # noqa: F401  # fixtures
from tests.fakes.http import Answer, Request
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.e2e

CELERY = (sys.executable, "-m", "celery", "-A", "notifyflow")
MAKE = """
from django.utils import timezone
from tests.factories import SMS, TriggerFactory, WorkflowFactory, definition
from triggers.models import Trigger
nodes = [{{"id": f"text{{n}}", "type": "sms", "body": "{{{{ order.id }}}}/%d" % n}} for n in range({nodes})]
workflow = WorkflowFactory(definition=definition(*nodes))
version = workflow.versions.get()
Trigger.objects.bulk_create(
    TriggerFactory.build(workflow=workflow, version=version, priority=workflow.priority,
                         current_node_id="text0", context={{"order": {{"id": n}}}})
    for n in range({count})
)
from triggers import bells
bells.ring("medium")
"""


class SlowTwilio(FakeTwilio):
    """Takes its time over each message, once it has taken it."""

    seconds = 0.1

    def _route(self, request: Request) -> Answer:
        answer = super()._route(request)
        time.sleep(self.seconds)
        return answer


@pytest.fixture
def twilio() -> Iterator[SlowTwilio]:
    """Run a slow Twilio, in place of the other test's."""
    with SlowTwilio() as server:
        yield server


def start_worker(processes: Processes, name: str, **more: str) -> None:  # noqa: F811
    """Start a worker of two prefork children."""
    lanes = ",".join(f"{PREFIX}.{lane}" for lane in LANES)
    options = ("--concurrency", "2", "--without-gossip", "--without-mingle", "-n", f"{name}@%h", "-Q", lanes)
    variables = (f"{variable}={value}" for variable, value in more.items())
    processes.start(name, "env", *variables, *CELERY, "worker", *options)


def trigger(processes: Processes, count: int, *, nodes: int = 1) -> None:  # noqa: F811
    """Put triggers for Ann into the database, and ring."""
    processes.manage("shell", "--no-imports", "-c", MAKE.format(count=count, nodes=nodes))


def counted(database: str, table: str) -> Counter[str]:  # noqa: F811
    """Return how many triggers or steps there are in each status."""
    with psycopg.connect(database) as looking:
        rows = looking.execute(f"SELECT status, count(*) FROM {table} GROUP BY status").fetchall()
    return Counter(dict(rows))


@pytest.mark.timeout(180)
def test_a_worker_that_is_asked_to_stop_holds_nothing_back_and_sends_nothing_twice(
    processes: Processes,  # noqa: F811
    database: str,  # noqa: F811
    twilio: SlowTwilio,
) -> None:
    """Without a beat: what the first gives back, the second finds by the bell that was rung for it."""
    count = 2000
    processes.environment = {**processes.environment, "CLAIM_LIMIT": "500"}
    start_worker(processes, "first")
    trigger(processes, count)
    wait_until(lambda: len(twilio.messages) > 100, seconds=60, what="some messages")

    begun = time.monotonic()
    assert processes.stop("first") == 0
    took = time.monotonic() - begun

    triggers, sent = counted(database, "triggers_trigger"), len(twilio.messages)
    # No assertion on the time, which is the machine's; pytest shows it with -rP, as the log of the stop.
    sys.stdout.write(f"stopped within {took:.1f} s, {sent} sent, {triggers['enqueued']} left\n")
    assert triggers == {"completed": sent, "enqueued": count - sent}
    assert 0 < sent < count
    assert counted(database, "execution_step") == {"succeeded": sent}

    start_worker(processes, "second")
    wait_until(lambda: counted(database, "triggers_trigger")["completed"] == count, seconds=60, what="the rest is done")
    assert set(Counter(message.body for message in twilio.messages).values()) == {1}
    assert counted(database, "execution_step") == {"succeeded": count}


@pytest.mark.timeout(180)
def test_a_worker_that_was_frozen_past_its_lease_adds_evidence_and_sends_nothing_further(
    processes: Processes,  # noqa: F811
    database: str,  # noqa: F811
    twilio: SlowTwilio,
) -> None:
    twilio.seconds = 1.0
    processes.environment = {
        **processes.environment,
        "LEASE_SECONDS": "6", "PROVIDER_TIMEOUT_SECONDS": "1.2", "CLAIM_WORK_SECONDS": "3", "CLAIM_LIMIT": "40",
    }  # fmt: skip
    start_worker(processes, "frozen", SEND_THREADS="4")
    trigger(processes, 40, nodes=2)
    wait_until(lambda: len(twilio.messages) >= 2, seconds=60, what="the first messages")
    frozen = processes.running["frozen"]
    os.killpg(frozen.pid, signal.SIGSTOP)
    try:
        twilio.seconds = 0.01
        start_worker(processes, "other")
        processes.start("beat", *CELERY, "beat", "--schedule", str(processes.folder / "beat-schedule"))
        wait_until(lambda: counted(database, "triggers_trigger") == {"completed": 40}, seconds=60, what="all is done")
        before = len(twilio.messages)
    finally:
        os.killpg(frozen.pid, signal.SIGCONT)

    wait_until(lambda: "Late outcome of step" in processes.log("frozen"), seconds=30, what="the frozen one's evidence")
    assert processes.stop("frozen") == 0

    assert len(twilio.messages) == before
    assert counted(database, "triggers_trigger") == {"completed": 40}
    steps = counted(database, "execution_step")
    assert (steps["succeeded"], steps["running"]) == (80, 0)
    # Twice went only what was on its way when the worker froze, and its steps say so.
    times = Counter(message.body for message in twilio.messages)
    assert (len(times), max(times.values())) == (80, 2)
    assert len(twilio.messages) - 80 <= steps["in_doubt"]
