"""A worker that wakes up past its lease sends nothing more and moves nothing, whatever it was about to do."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Event
from time import monotonic

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from channels.contract import Receipt
from execution.claims import claim_batch
from execution.models import Step, SweepTick
from execution.runner import Batch, advance_lane
from execution.sending import Answer, Sender
from execution.sweep import free_expired_leases
from execution.tasks import advance_due, sweep
from execution.verdicts import verdict
from tests.factories import EMAIL, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents, record_results
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_lease_that_is_over_is_not_made_anew_by_renewing_it(smtp: FakeSmtp) -> None:
    """Another may have the triggers: to hold on would send what waits for a thread a second time."""
    TriggerFactory()
    claim = claim_batch("medium", limit=9, now=timezone.now())
    with Sender(threads=1) as sender:
        batch = Batch(claim, sender, held_since=monotonic() - 1000)
        lease_ended_at = sender.send_until

        batch.work_off()

        assert sender.send_until == lease_ended_at
    assert (smtp.mails, Step.objects.count()) == ([], 0)
    assert Trigger.objects.get().status == TriggerStatus.ENQUEUED


def test_a_lease_is_extended_while_a_batch_works(smtp: FakeSmtp, settings: Settings) -> None:
    """By real time: longer than the lease, with the sweep looking all the while."""
    settings.LEASE_SECONDS = 2
    settings.SEND_THREADS = 1
    TriggerFactory.create_batch(2)
    for _ in range(2):
        smtp.hang("BODY", 1.5)
    is_over = Event()

    def look() -> int:
        freed = 0
        while not is_over.wait(0.1):
            freed += free_expired_leases(now=timezone.now())
        connections.close_all()
        return freed

    with ThreadPoolExecutor(1) as sweeping:
        looking = sweeping.submit(look)
        advance_lane("medium")
        is_over.set()

    assert looking.result() == 0
    assert len(smtp.mails) == 2
    assert set(Step.objects.values_list("attempt", "status")) == {(1, "succeeded")}


def test_a_task_is_tried_again_when_its_database_was_away_for_a_moment(smtp: FakeSmtp) -> None:
    """`autoretry_for`: with the bell lost as well, the trigger would wait for the sweep."""
    TriggerFactory()

    class AwayOnce:
        def __init__(self) -> None:
            self.is_away = True

        def __call__(self, execute: object, sql: str, params: object, many: bool, context: object) -> object:
            if self.is_away and "FOR UPDATE" in sql:
                self.is_away = False
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            return execute(sql, params, many, context)  # type: ignore[operator]

    with connection.execute_wrapper(AwayOnce()):
        assert advance_due.apply(args=["medium"]).successful()

    assert Trigger.objects.get().status == TriggerStatus.COMPLETED


def test_a_trigger_is_not_in_doubt_because_late_evidence_stands_beside_a_resend() -> None:
    """The trigger went on with a success; the doubt is the step's."""
    now = timezone.now()
    trigger = TriggerFactory()
    lost, (first,) = claim_and_write_intents()
    free_expired_leases(now=now, expired_before=now + timedelta(hours=1))
    second, (again,) = claim_and_write_intents()
    receipt = Receipt(provider="smtp", message_id="<id>")

    for claim, send in ((lost, first), (second, again)):
        result = verdict(Answer(send, now, receipt=receipt), now=now, dice=0.5)
        record_results(claim, [result], now=now, may_go_on=False)

    trigger.refresh_from_db()
    assert (trigger.status, trigger.last_step_status) == ("completed", "succeeded")
    assert list(Step.objects.order_by("attempt").values_list("status", flat=True)) == ["succeeded", "in_doubt"]


def test_a_step_in_doubt_tells_over_the_api_what_is_known_and_what_follows(api: APIClient) -> None:
    workflow = WorkflowFactory(definition=definition({**EMAIL, "on_doubt": "hold"}))
    trigger = TriggerFactory(workflow=workflow)
    claim_and_write_intents()
    now = timezone.now()
    free_expired_leases(now=now, expired_before=now + timedelta(hours=1))

    (step,) = api.get(f"/api/v1/triggers/{trigger.pk}/steps/").json()["results"]
    (listed,) = api.get("/api/v1/steps/").json()["results"]

    assert "no answer was recorded, as its worker was lost" in step["explanation"]
    assert (
        f"It is held for a person: look it up at the provider (Message-ID or idempotency key {trigger.pk}.mail)"
        in (step["explanation"])
    )
    assert step["explanation"].startswith(listed["explanation"])


def test_a_connection_that_broke_between_two_tasks_is_replaced(smtp: FakeSmtp) -> None:
    """Celery keeps it from task to task; the next task must not fail of it."""
    TriggerFactory()
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    advance_due("medium")

    assert Trigger.objects.get().status == TriggerStatus.COMPLETED


def test_a_connection_that_broke_between_two_ticks_is_replaced() -> None:
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    sweep()

    assert SweepTick.objects.exists()
