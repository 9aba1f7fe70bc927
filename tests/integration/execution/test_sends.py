"""What is true at the moment a provider hears of a message, seen from the provider."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from aiosmtpd.smtp import Envelope
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from execution.models import DeadLetter, Step
from execution.runner import advance_lane
from tests.factories import EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio
from tests.integration.execution.conftest import send_to
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


class Witness(FakeSmtp):
    """An SMTP server that looks into the database while it takes a mail."""

    def __init__(self, backend: int) -> None:
        super().__init__()
        self.backend = backend
        self.seen: list[tuple[Any, ...]] = []

    def receive(self, envelope: Envelope) -> None:
        """Note the state of the worker's connection, and the committed steps."""
        parameters = connection.get_connection_params()
        wanted = {name: parameters[name] for name in ("dbname", "user", "host", "port") if name in parameters}
        with psycopg.connect(**wanted) as looking:
            state = looking.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [self.backend]).fetchone()
            steps = looking.execute("SELECT status, finished_at FROM execution_step").fetchall()
        self.seen.append((state, steps))
        super().receive(envelope)


@pytest.fixture
def witness(settings: Settings) -> Iterator[Witness]:
    """Run the witness and have emails sent to it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    with Witness(backend) as server:
        send_to(server, settings)
        settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 10
        yield server


def test_a_message_is_sent_outside_every_transaction(witness: Witness) -> None:
    """Invariant 5: no provider call inside a transaction."""
    TriggerFactory()

    advance_lane("medium")

    assert [state for state, _ in witness.seen] == [("idle",)]


def test_the_step_of_a_message_is_committed_before_the_provider_hears_of_it(witness: Witness) -> None:
    """Invariant 6: every send has a step row from before it."""
    TriggerFactory()

    advance_lane("medium")

    assert [steps for _, steps in witness.seen] == [[("running", None)]]
    assert Step.objects.get().status == "succeeded"


def test_a_provider_that_does_not_answer_is_given_up(smtp: FakeSmtp, settings: Settings) -> None:
    """Invariant 5, second half: no provider call without a time-out."""
    settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 0.3
    trigger = TriggerFactory()
    smtp.hang("RCPT", 30)

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.attempts, trigger.error["is_transient"]) == (TriggerStatus.ENQUEUED, 1, True)


def test_transient_errors_are_tried_again_within_the_policy_and_then_end_in_a_dead_letter(smtp: FakeSmtp) -> None:
    """Invariant 9, first half."""
    trigger = TriggerFactory()
    for expected in (1, 2):
        smtp.reply("RCPT", "451 4.7.1 Try again later")
        before = timezone.now()
        advance_lane("medium")
        trigger.refresh_from_db()
        assert (trigger.status, trigger.attempts) == (TriggerStatus.ENQUEUED, expected)
        wait = trigger.available_at - before
        assert timedelta(seconds=1.8 * expected) <= wait <= timedelta(seconds=2.3 * expected + 1)
        assert advance_lane("medium") == 0
        make_due(trigger)
    smtp.reply("RCPT", "451 4.7.1 Try again later")
    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["node_id"], trigger.attempts) == (TriggerStatus.FAILED, "mail", 3)
    letter = DeadLetter.objects.get()
    assert (letter.attempts, letter.is_transient) == (3, True)
    assert letter.first_failed_at < letter.last_failed_at
    assert Counter(Step.objects.values_list("status", flat=True)) == {"failed": 3}


def test_a_message_that_succeeds_after_a_transient_error_goes_on(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    smtp.reply("RCPT", "451 4.7.1 Try again later")
    advance_lane("medium")
    make_due(trigger)

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error, trigger.attempts) == (TriggerStatus.COMPLETED, None, 0)
    assert [mail.message["Message-ID"] for mail in smtp.mails] == [f"<{trigger.pk}.mail@notifyflow.example>"]


def test_permanent_errors_are_not_tried_again(smtp: FakeSmtp) -> None:
    """Invariant 9, second half."""
    trigger = TriggerFactory()
    smtp.reply("RCPT", "550 5.1.1 No such user")

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["is_transient"]) == (TriggerStatus.FAILED, False)
    assert (Step.objects.count(), DeadLetter.objects.get().attempts) == (1, 1)


def test_retry_after_of_the_provider_wins(settings: Settings) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(SMS)))
    settings.SMS_PROVIDER, settings.TWILIO_FROM = "twilio", "+14155550100"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN
    with FakeTwilio() as twilio:
        settings.TWILIO_API_BASE = twilio.url
        twilio.refuse(20429, status=429, **{"Retry-After": "120"})
        advance_lane("medium")
        trigger.refresh_from_db()
        assert timedelta(seconds=115) < trigger.available_at - timezone.now() <= timedelta(seconds=121)
        make_due(trigger)
        advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.attempts) == (TriggerStatus.COMPLETED, 0)
    assert [message.to for message in twilio.messages] == ["+14155552671"]


def test_one_connection_serves_many_messages_of_a_batch(smtp: FakeSmtp, settings: Settings) -> None:
    settings.SEND_THREADS = 2
    workflow = WorkflowFactory()
    Trigger.objects.bulk_create(TriggerFactory.build_batch(40, workflow=workflow, version=workflow.versions.get()))

    advance_lane("medium")

    assert len(smtp.mails) == 40
    assert smtp.connections <= 2


def make_due(trigger: Trigger) -> None:
    """Let the time pass that a retry waits for, without waiting."""
    trigger.refresh_from_db()
    now = timezone.now()
    assert trigger.run_state is not None
    for ready in trigger.run_state["ready"].values():
        ready["at"] = now.isoformat()
    Trigger.objects.filter(pk=trigger.pk).update(available_at=now, run_state=trigger.run_state)
