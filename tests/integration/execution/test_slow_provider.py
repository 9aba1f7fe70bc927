"""A provider that takes its time holds up no other's messages, and holds no more in doubt than it may."""

import threading
from collections.abc import Iterator
from time import monotonic
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from execution import sending
from execution.claims import claim_batch, claim_more
from execution.models import Step
from execution.runner import advance_lane
from execution.sending import Sender
from tests.e2e.processes import wait_until
from tests.factories import EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.http import Answer, Request
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio
from tests.integration.execution.conftest import claim_and_write_intents
from tests.integration.execution.test_stop import in_a_thread
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import Workflow
from workflows.priorities import Priority

pytestmark = pytest.mark.django_db(transaction=True)


class ClosedTwilio(FakeTwilio):
    """A Twilio that answers nobody until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()

    def serve(self, request: Request) -> Answer | None:
        """Note the request, and wait."""
        self.requests.append(request)
        self.opened.wait(60)
        answer = super().serve(request)
        self.requests.remove(request)
        return answer


@pytest.fixture
def twilio(settings: Settings) -> Iterator[ClosedTwilio]:
    """Have SMS go to a Twilio that is closed, four at once, and a batch work until it is told to stop."""
    settings.SMS_PROVIDER, settings.TWILIO_FROM = "twilio", "+14155550100"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN
    settings.SEND_THREADS = settings.SMS_CONNECTIONS = 4
    settings.CLAIM_LIMIT = 20
    with ClosedTwilio() as server:
        settings.TWILIO_API_BASE = server.url
        yield server
        server.opened.set()


@pytest.fixture
def smtp(smtp: FakeSmtp, settings: Settings) -> FakeSmtp:
    """Give the providers the time that a test may need."""
    settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 30
    return smtp


@pytest.fixture
def texts() -> Workflow:
    """Return a workflow of one SMS."""
    workflow: Workflow = WorkflowFactory(definition=definition(SMS))
    return workflow


def test_a_slow_provider_holds_up_no_other_channel_of_its_lane(
    smtp: FakeSmtp, twilio: ClosedTwilio, texts: Workflow
) -> None:
    """Also where its messages are the older ones, and more than a worker claims at once."""
    TriggerFactory.create_batch(60, workflow=texts)
    TriggerFactory.create_batch(50, workflow=WorkflowFactory(definition=definition(EMAIL)))
    working = in_a_thread(lambda: advance_lane("medium"))
    try:
        wait_until(lambda: len(smtp.mails) == 50, seconds=15, what="all mails have left")
        assert (len(twilio.messages), working.is_alive()) == (0, True)
        # Accepted while the batch waits: no bell comes through to a worker that is busy.
        TriggerFactory.create_batch(3, workflow=WorkflowFactory(definition=definition({**EMAIL, "id": "later"})))
        wait_until(lambda: len(smtp.mails) == 53, seconds=15, what="the later mails have left")
        assert len(twilio.messages) == 0
    finally:
        twilio.opened.set()
        working.join()

    while advance_lane("medium"):
        pass
    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.COMPLETED}
    assert (len(twilio.messages), len(smtp.mails)) == (60, 53)


def test_a_slow_provider_holds_no_more_in_doubt_than_it_has_room_for(
    smtp: FakeSmtp, twilio: ClosedTwilio, texts: Workflow
) -> None:
    """With each look the batch could write more intents and claim more triggers; it does not."""
    TriggerFactory.create_batch(200, workflow=texts)
    working = in_a_thread(lambda: advance_lane("medium"))
    try:
        wait_until(lambda: len(twilio.requests) == 4, seconds=10, what="four are on their way")
        mails = WorkflowFactory(definition=definition(EMAIL))
        for number in range(1, 4):
            TriggerFactory(workflow=mails)
            wait_until(lambda: len(smtp.mails) == number, seconds=15, what="the batch has looked")  # noqa: B023
        assert len(twilio.requests) == 4
        assert Step.objects.filter(node_type="sms", status="running").count() == 16
        assert Trigger.objects.filter(status=TriggerStatus.PROCESSING, workflow=texts).count() == 20
    finally:
        twilio.opened.set()
        working.join()


def test_a_channel_opens_no_more_connections_than_it_may(smtp: FakeSmtp, settings: Settings) -> None:
    settings.EMAIL_CONNECTIONS = 3
    for _ in range(12):
        smtp.hang("BODY", 0.15)
    workflow = WorkflowFactory()
    Trigger.objects.bulk_create(TriggerFactory.build_batch(40, workflow=workflow, version=workflow.versions.get()))

    advance_lane("medium")

    assert (len(smtp.mails), smtp.connections) == (40, 3)


def test_connections_serve_more_than_one_claim_while_the_provider_is_slow(smtp: FakeSmtp, settings: Settings) -> None:
    settings.EMAIL_CONNECTIONS, settings.CLAIM_LIMIT = 2, 10
    for _ in range(30):
        smtp.hang("BODY", 0.03)
    workflow = WorkflowFactory()
    Trigger.objects.bulk_create(TriggerFactory.build_batch(30, workflow=workflow, version=workflow.versions.get()))

    advance_lane("medium")

    assert (len(smtp.mails), smtp.connections) == (30, 2)
    assert len(set(Step.objects.values_list("claim_id", flat=True))) == 1


def place(workflow: Workflow, node_id: str) -> tuple[UUID, str]:
    return workflow.versions.get().pk, node_id


def test_more_is_claimed_under_the_same_id_and_passes_over_what_would_only_wait(texts: Workflow) -> None:
    mails = WorkflowFactory(definition=definition(EMAIL, SMS))
    TriggerFactory(workflow=texts)
    now = timezone.now()
    claim = claim_batch("medium", limit=1, now=now)
    TriggerFactory.create_batch(2, workflow=texts)
    at_the_mail, at_the_text = TriggerFactory.create_batch(2, workflow=mails)
    Trigger.objects.filter(pk=at_the_text.pk).update(current_node_id="text")

    more = claim_more(claim, limit=10, now=timezone.now(), passing_over={place(texts, "text"), place(mails, "text")})

    assert (more.id, more.trigger_ids, more.is_full) == (claim.id, (at_the_mail.pk,), False)
    assert Trigger.objects.held_by(claim.id).count() == 2
    assert Trigger.objects.get(pk=at_the_mail.pk).lease_expires_at is not None


def test_no_more_is_claimed_while_a_more_urgent_lane_has_something_due() -> None:
    TriggerFactory()
    claim = claim_batch("medium", limit=1, now=timezone.now())
    TriggerFactory()
    urgent, low = TriggerFactory(priority=Priority.HIGH), TriggerFactory(priority=Priority.LOW)

    assert claim_more(claim, limit=10, now=timezone.now()).trigger_ids == ()
    urgent.delete()
    assert len(claim_more(claim, limit=10, now=timezone.now()).trigger_ids) == 1
    low.refresh_from_db()
    assert low.claim_id is None
    connection.close()


def test_an_answer_does_not_wait_for_the_next_message_of_its_thread(
    smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies meanwhile would leave it in doubt, though its provider has spoken."""
    monkeypatch.setattr(sending, "WAKE_SECONDS", 10)
    workflow = WorkflowFactory()
    refused = TriggerFactory(workflow=workflow, recipient={"email": "nobody"})
    TriggerFactory(workflow=workflow)
    smtp.hang("BODY", 3)
    _, sends = claim_and_write_intents()
    assert sends[0].run.id == refused.pk

    with Sender(threads=1) as sender:
        sender.send_until = monotonic() + 60
        sender.submit(sends)
        found = sender.collect(timeout=1)

    assert [answer.send.run.id for answer in found] == [refused.pk]


def test_a_few_messages_are_under_way_at_once_as_soon_as_their_provider_hesitates(
    twilio: ClosedTwilio, texts: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread is enough for a provider that never makes wait; whether this one does shows within milliseconds."""
    monkeypatch.setattr(sending, "SILENT_SECONDS", 60)
    TriggerFactory.create_batch(4, workflow=texts)
    _, sends = claim_and_write_intents()

    with Sender(threads=160) as sender:
        sender.send_until = monotonic() + 60
        sender.submit(sends)
        found = in_a_thread(lambda: sender.collect(timeout=30))
        try:
            wait_until(lambda: len(twilio.requests) == 4, seconds=10, what="all four are on their way")
        finally:
            twilio.opened.set()
            found.join()
        sender.collect(timeout=10)
