"""A Redis broker that dies while a worker has its messages in hand, and comes back empty."""

import shutil

import pytest

from tests.e2e.processes import Processes, free_port, wait_until
from tests.e2e.test_full_profile import database, processes, queues, smtp  # noqa: F401  # fixtures
from tests.e2e.test_outages import SlowTwilio, counted, start_worker, trigger, twilio  # noqa: F401  # a fixture

pytestmark = pytest.mark.e2e

AGAIN = """
from tests.factories import TriggerFactory
from triggers import bells
from workflows.models import Workflow
workflow = Workflow.objects.get()
for n in range(2):
    TriggerFactory(workflow=workflow, version=workflow.versions.get(), priority=workflow.priority,
                   idempotency_key=f"again-{n}", current_node_id="text0", context={"order": {"id": n}})
bells.ring("medium")
"""
REDIS = shutil.which("redis-server")


@pytest.mark.timeout(120)
@pytest.mark.skipif(REDIS is None, reason="needs a redis-server of its own to kill")
def test_a_worker_outlives_its_redis_broker(
    processes: Processes,  # noqa: F811
    database: str,  # noqa: F811
    twilio: SlowTwilio,  # noqa: F811
) -> None:
    """What it had in hand is carried to its end without a broker, and the next bell finds the same process."""
    port = str(free_port())
    redis = (str(REDIS), "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    processes.environment = {**processes.environment, "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0"}
    processes.start("redis", *redis)
    wait_until(lambda: "Ready to accept" in processes.log("redis"), seconds=20, what="Redis is up")
    twilio.seconds = 1.5
    start_worker(processes, "worker")
    worker = processes.running["worker"]
    trigger(processes, 2)
    wait_until(lambda: len(twilio.messages) == 2, seconds=60, what="a batch is in hand")

    processes.kill("redis")
    wait_until(lambda: "Connection to broker lost" in processes.log("worker"), seconds=20, what="the loss is noticed")
    wait_until(lambda: counted(database, "triggers_trigger") == {"completed": 2}, seconds=20, what="the batch is done")
    twilio.seconds = 0.01
    processes.start("redis", *redis)
    wait_until(lambda: processes.log("redis").count("Ready to accept") == 2, seconds=20, what="Redis is up again")
    processes.manage("shell", "--no-imports", "-c", AGAIN)
    wait_until(lambda: counted(database, "triggers_trigger") == {"completed": 4}, seconds=20, what="it hears again")
    assert worker.poll() is None
    assert len(twilio.messages) == 4
