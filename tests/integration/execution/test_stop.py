"""A worker that is asked to stop ends what is on its way, gives back the rest at once, and rings for it."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings

from execution import stopping
from execution.models import Step
from execution.runner import advance_lane
from execution.tasks import advance_due
from notifyflow.celery import app, stop_batches
from tests.e2e.processes import wait_until
from tests.factories import TriggerFactory
from tests.fakes.smtp import FakeSmtp
from triggers import bells
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def wish() -> Iterator[None]:
    """Have no wish to stop left behind."""
    yield
    stopping.go_on()


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the queues that are rung; the broker is left out."""
    queues: list[str] = []
    monkeypatch.setattr(app, "send_task", lambda *_, queue, **__: queues.append(queue))
    return queues


def in_a_thread(act: Any) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_what_has_not_begun_is_given_back_while_the_last_sends_are_still_under_way(
    smtp: FakeSmtp, settings: Settings, rung: list[str]
) -> None:
    settings.SEND_THREADS = 2
    TriggerFactory.create_batch(30)
    for _ in range(2):
        smtp.hang("BODY", 1.8)
    working = in_a_thread(lambda: advance_lane("medium"))
    wait_until(lambda: smtp.open_connections == 2, seconds=10, what="two messages are on their way")
    rung.clear()

    stop_batches()

    wait_until(
        lambda: Trigger.objects.filter(status=TriggerStatus.ENQUEUED).count() == 28,
        seconds=10,
        what="28 are given back",
    )
    # The two are not waited for.
    assert (len(smtp.mails), working.is_alive()) == (0, True)
    working.join()
    assert Counter(Trigger.objects.values_list("status", flat=True)) == {"completed": 2, "enqueued": 28}
    assert Counter(Step.objects.values_list("status", flat=True)) == {"succeeded": 2}
    assert Trigger.objects.exclude(claim_id=None).count() == 0
    assert rung == [bells.queue_of("medium")]


def test_a_bell_that_comes_to_a_stopping_worker_is_passed_on(rung: list[str]) -> None:
    TriggerFactory()
    bells.ring("medium")
    stopping.ask_to_stop()

    advance_due("medium")

    assert rung == [bells.queue_of("medium")] * 2
    assert Trigger.objects.get().status == TriggerStatus.ENQUEUED


def test_a_child_that_was_forked_before_sees_the_wish() -> None:
    """As a prefork pool's does, which gets no signal."""
    import os

    asked, answer = os.pipe()
    if (child := os.fork()) == 0:
        wait_until(stopping.is_asked_to_stop, seconds=10, what="the wish")
        os.write(answer, b"seen")
        os._exit(0)
    stopping.ask_to_stop()
    os.waitpid(child, 0)

    assert os.read(asked, 4) == b"seen"
