"""What a worker does when it was frozen before a send, when its database takes no writes, and when it gives up."""

import threading
from time import monotonic
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from execution import runner, sending
from execution.models import Step
from execution.recording import record
from execution.runner import advance_lane
from execution.sending import Sender
from tests.factories import TriggerFactory, WorkflowFactory
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_worker_frozen_between_intent_and_send_takes_its_intent_back(
    smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, so that nothing is in doubt: the trigger is due again at once, with its first attempt."""
    TriggerFactory()
    with monkeypatch.context() as frozen:
        frozen.setattr(sending, "monotonic", lambda: monotonic() + 1000)
        advance_lane("medium")

    assert (smtp.mails, Step.objects.count()) == ([], 0)
    assert Trigger.objects.get().status == TriggerStatus.ENQUEUED
    advance_lane("medium")
    assert list(Step.objects.values_list("attempt", "status")) == [(1, "succeeded")]


def test_a_connection_to_what_became_a_standby_is_left_before_the_outcome_is_recorded_again(
    smtp: FakeSmtp, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers well and takes no writes: on the same connection no further try would help."""
    settings.LEASE_SECONDS = 6
    TriggerFactory()

    def write_and_fail_over(claim: Any, advances: Any, sends: Any, **more: Any) -> object:
        held = record(claim, advances, sends, **more)
        if sends:
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = on")
        return held

    monkeypatch.setattr(runner, "record", write_and_fail_over)
    advance_lane("medium")

    assert Trigger.objects.get().status == TriggerStatus.COMPLETED
    assert len(smtp.mails) == 1


def test_a_batch_that_gives_up_sends_nothing_more(smtp: FakeSmtp) -> None:
    """Nobody is left to record it, and the next worker sends it again."""
    workflow = WorkflowFactory()
    for _ in range(5):
        TriggerFactory(workflow=workflow)
    _, sends = claim_and_write_intents()
    smtp.hang("BODY", 0.5)

    def give_up() -> None:
        with Sender(threads=1) as sender:
            sender.send_until = monotonic() + 60
            sender.submit(sends)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        give_up()

    for thread in threading.enumerate():
        if thread.name == "send":
            thread.join(30)
    assert len(smtp.mails) <= 1
