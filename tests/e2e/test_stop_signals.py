"""Workers that are told to stop while a provider keeps them waiting: twice, at once, or by the end of a grace time."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.processes import Processes, wait_until
from tests.e2e.test_full_profile import LANES, PREFIX, database, processes, queues, smtp  # noqa: F401  # fixtures
from tests.e2e.test_outages import CELERY, counted, trigger
from tests.fakes.http import Answer, Request
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.e2e

# A trigger for each of three lanes: a worker whose provider is slow would take what another has not come for yet.
SPREAD = """
from triggers import bells
from triggers.models import Trigger
from workflows.priorities import Priority
for trigger, lane in zip(Trigger.objects.all(), {lanes}, strict=True):
    Trigger.objects.filter(pk=trigger.pk).update(priority=Priority.of_lane(lane))
    bells.ring(lane)
"""
SWEEP = """
from datetime import timedelta
from django.utils import timezone
from execution.sweep import free_expired_leases
free_expired_leases(now=timezone.now() + timedelta(hours=1))
from triggers import bells
from workflows.priorities import LANES
for lane in LANES:
    bells.ring(lane)
"""


class HoldingTwilio(FakeTwilio):
    """Takes each message, and answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def _route(self, request: Request) -> Answer:
        answer = super()._route(request)
        self.go.wait(60)
        return answer


@pytest.fixture
def twilio() -> Iterator[HoldingTwilio]:
    """Run a Twilio that lets everybody wait, in place of the other test's."""
    with HoldingTwilio() as server:
        yield server
        server.go.set()


def start_worker(processes: Processes, name: str, *lanes: str) -> None:  # noqa: F811
    """Start a worker of one prefork child for these lanes."""
    own = ",".join(f"{PREFIX}.{lane}" for lane in lanes)
    options = ("--concurrency", "1", "--without-gossip", "--without-mingle", "-n", f"{name}@%h", "-Q", own)
    processes.start(name, *CELERY, "worker", *options)


def is_gone(group: int) -> bool:
    """Say whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.timeout(180)
def test_nothing_is_lost_however_a_worker_is_told_to_stop(
    processes: Processes,  # noqa: F811
    database: str,  # noqa: F811
    twilio: HoldingTwilio,
) -> None:
    """Three workers send: one is asked twice, one gets SIGQUIT, one is killed when its grace time is over."""
    long = {"PROVIDER_TIMEOUT_SECONDS": "50", "LEASE_SECONDS": "300"}
    processes.environment = {**processes.environment, **long, "CLAIM_LIMIT": "1"}
    lane_of = {"asked": "high", "ended": "medium", "killed": "low"}
    trigger(processes, 3)
    processes.manage("shell", "--no-imports", "-c", SPREAD.format(lanes=list(lane_of.values())))
    for name, lane in lane_of.items():
        start_worker(processes, name, lane)
    wait_until(lambda: len(twilio.messages) == 3, seconds=60, what="each has one message on its way")

    asked, ended, killed = (processes.running[name] for name in ("asked", "ended", "killed"))
    asked.send_signal(signal.SIGTERM)
    killed.send_signal(signal.SIGTERM)
    processes.stop("ended", signal.SIGQUIT)
    wait_until(lambda: is_gone(ended.pid), seconds=10, what="its children have ended")
    asked.send_signal(signal.SIGTERM)
    wait_until(lambda: processes.log("asked").count("Warm shutdown") == 2, seconds=10, what="it was asked twice")
    assert (asked.poll(), killed.poll()) == (None, None)
    processes.kill("killed")
    twilio.go.set()
    assert asked.wait(30) == 0

    assert counted(database, "triggers_trigger") == {"completed": 1, "processing": 2}
    assert counted(database, "execution_step") == {"succeeded": 1, "running": 2}

    start_worker(processes, "next", *LANES)
    processes.manage("shell", "--no-imports", "-c", SWEEP)
    wait_until(lambda: counted(database, "triggers_trigger") == {"completed": 3}, seconds=60, what="the rest is done")
    assert counted(database, "execution_step") == {"succeeded": 3, "in_doubt": 2}
    assert len(twilio.messages) == 5
