"""A batch worked off: how long it goes on, what it leaves behind when it dies, and what its messages say."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import psycopg
import pytest
from aiosmtpd.smtp import Envelope
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from channels.contract import OutgoingMessage, Receipt, TemplateField
from channels.registry import CHANNELS
from execution.intents import withdraw_intents
from execution.models import DeadLetter, Step
from execution.runner import advance_lane
from execution.sending import Answer, Sender
from execution.states import StepStatus
from execution.sweep import sweep
from execution.verdicts import verdict
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents, record_results, send_to
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)


def text_of(trigger: Trigger, node_id: str = "text") -> dict[str, Any]:
    """Return the SMS that the outbox has for a node."""
    path = Path(django_settings.OUTBOX_DIR) / f"{trigger.pk}.{node_id}.sms.json"
    sms: dict[str, Any] = json.loads(path.read_text())
    return sms


def steps_of(trigger: Trigger) -> list[tuple[str, int, str]]:
    return list(Step.objects.filter(trigger=trigger).order_by("pk").values_list("node_id", "attempt", "status"))


def test_a_batch_out_of_time_gives_back_what_it_has_not_begun(smtp: FakeSmtp, settings: Settings) -> None:
    settings.CLAIM_WORK_SECONDS, settings.SEND_THREADS = 0.3, 1
    workflow = WorkflowFactory()
    triggers = [TriggerFactory(workflow=workflow) for _ in range(12)]
    smtp.hang("RCPT", 0.8)

    advance_lane("medium")

    sent = len(smtp.mails)
    assert 0 < sent < 12
    assert Counter(Step.objects.values_list("status", flat=True)) == {"succeeded": sent}
    assert Counter(Trigger.objects.values_list("status", flat=True)) == {"completed": sent, "enqueued": 12 - sent}
    assert cache.get("bell:medium") is not None  # somebody is called for the rest
    settings.CLAIM_WORK_SECONDS = 20
    assert advance_lane("medium") == 12 - sent
    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.COMPLETED}
    assert Counter(Step.objects.values_list("attempt", "status")) == {(1, "succeeded"): 12}
    received = sorted(mail.message["Message-ID"] for mail in smtp.mails)
    assert received == sorted(f"<{trigger.pk}.mail@notifyflow.example>" for trigger in triggers)


def test_a_run_that_may_not_go_on_is_due_for_the_next_claim() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    claim, (send,) = claim_and_write_intents()
    answer = Answer(send, timezone.now(), receipt=Receipt(provider="outbox", message_id="<m>"))

    now = timezone.now()
    assert record_results(claim, [verdict(answer, now=now, dice=0.5)], now=now, may_go_on=False) == []

    trigger.refresh_from_db()
    assert (trigger.status, trigger.current_node_id, trigger.available_at) == ("enqueued", "text", now)
    assert cache.get("bell:medium") is not None
    assert advance_lane("medium") == 1
    assert steps_of(trigger) == [("mail", 1, "succeeded"), ("text", 1, "succeeded")]


def test_a_batch_that_works_keeps_its_lease_however_long_a_provider_takes(smtp: FakeSmtp, settings: Settings) -> None:
    """Invariant 3: a worker that is alive does not lose its claim."""
    settings.LEASE_SECONDS = 2
    settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 10
    trigger = TriggerFactory()
    smtp.hang("RCPT", 3)
    is_over = Event()

    def keep_sweeping() -> None:
        try:
            while not is_over.wait(0.1):
                sweep(now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(keep_sweeping)
        try:
            advance_lane("medium")
        finally:
            is_over.set()
        sweeping.result()

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert steps_of(trigger) == [("mail", 1, "succeeded")]
    assert len(smtp.mails) == 1


class Saboteur(FakeSmtp):
    """An SMTP server that takes the worker's database away when it has got the first mail."""

    backend = 0

    def receive(self, envelope: Envelope) -> None:
        super().receive(envelope)
        if len(self.mails) == 1:
            parameters = connection.get_connection_params()
            wanted = {name: parameters[name] for name in ("dbname", "user", "host", "port") if name in parameters}
            with psycopg.connect(**wanted) as cutting:
                cutting.execute("SELECT pg_terminate_backend(%s)", [self.backend])


def test_a_database_that_goes_away_in_the_middle_costs_no_answer(settings: Settings) -> None:
    """What the provider has answered is recorded as soon as the database is back; nothing is sent twice for it."""
    settings.SEND_THREADS = 1
    workflow = WorkflowFactory()
    triggers = [TriggerFactory(workflow=workflow) for _ in range(4)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    with Saboteur() as server:
        server.backend = backend
        send_to(server, settings)
        settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 10
        server.hang("RCPT", 0)
        server.hang("RCPT", 1)

        advance_lane("medium")

        sweep(now=timezone.now() + timedelta(minutes=10))
        advance_lane("medium")
        received = [mail.message["Message-ID"] for mail in server.mails]

    assert sorted(received) == sorted(f"<{trigger.pk}.mail@notifyflow.example>" for trigger in triggers)
    assert Counter(Step.objects.values_list("attempt", "status")) == {(1, "succeeded"): 4}
    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.COMPLETED}


def test_one_trigger_that_can_not_be_stored_fails_alone(smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neighbours of the same group are recorded, and none of them is sent again."""
    workflow = WorkflowFactory()
    poison, *healthy = [TriggerFactory(workflow=workflow) for _ in range(4)]

    def spoiled(text: str, *, longest: int = 0) -> str:
        return f"{text}\x00" if str(poison.pk) in text else text

    monkeypatch.setattr("execution.verdicts.storable", spoiled)

    advance_lane("medium")

    poison.refresh_from_db()
    assert (poison.status, poison.error["code"]) == (TriggerStatus.FAILED, "unstorable_outcome")
    for trigger in healthy:
        assert steps_of(trigger) == [("mail", 1, "succeeded")]
    assert len(smtp.mails) == 4


def test_a_variable_that_the_database_can_not_hold_does_no_harm(smtp: FakeSmtp) -> None:
    odd = "Hi {% assign k = order.code | url_decode %}{{ order[k] }}"
    trigger = TriggerFactory(
        workflow=WorkflowFactory(definition=definition({**EMAIL, "body": odd})), context={"order": {"code": "a%00b"}}
    )

    advance_lane("medium")

    assert steps_of(trigger) == [("mail", 1, "succeeded")]
    assert "\ufffd" in str(Step.objects.get().output["missing_variables"])


def test_a_worker_that_wakes_up_after_its_lease_sends_nothing_more(smtp: FakeSmtp) -> None:
    """Invariant 3: what it had not begun is withdrawn, without a trace in the log."""
    TriggerFactory()
    claim, sends = claim_and_write_intents()

    with Sender(threads=1) as sender:
        sender.send_until = monotonic()
        sender.submit(sends)
        (answer,) = sender.collect(timeout=5)
    withdraw_intents(claim, [answer.send], now=timezone.now())

    assert (answer.has_begun, smtp.mails, Step.objects.count()) == (False, [], 0)
    assert advance_lane("medium") == 1
    assert Trigger.objects.get().status == TriggerStatus.COMPLETED


def test_a_state_that_can_not_be_read_fails_its_own_trigger(smtp: FakeSmtp) -> None:
    broken, healthy = TriggerFactory(run_state={"ended": 7}), TriggerFactory()

    advance_lane("medium")

    broken.refresh_from_db()
    assert (broken.status, broken.error["code"]) == (TriggerStatus.FAILED, "invalid_state")
    assert steps_of(healthy) == [("mail", 1, "succeeded")]


class BrokenChannel:
    """An SMS channel with a bug, and its session."""

    node_type = "sms"
    fields = (TemplateField("body"),)
    required_any: tuple[frozenset[str], ...] = ()
    provider = "broken"
    most_sessions = 1

    def open(self) -> "BrokenChannel":
        return self

    def send(self, message: OutgoingMessage) -> Receipt:
        raise KeyError("a bug")

    def close(self) -> None:
        pass


def test_a_bug_in_a_channel_is_a_transient_error_of_its_own_messages(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SEND_THREADS = 1
    others = tuple(channel for channel in CHANNELS if channel.node_type != "sms")
    monkeypatch.setattr("channels.registry.CHANNELS", (BrokenChannel(), *others))
    broken = TriggerFactory(workflow=WorkflowFactory(definition=definition(SMS)))
    mails = [TriggerFactory() for _ in range(3)]

    advance_lane("medium")

    broken.refresh_from_db()
    assert (broken.status, broken.attempts) == (TriggerStatus.ENQUEUED, 1)
    assert (broken.error["code"], broken.error["is_transient"]) == ("internal_error", True)
    # The channel had the message: nobody can say that it has not left.
    assert broken.error["is_in_doubt"]
    step = Step.objects.get(trigger=broken)
    assert (step.status, step.error) == (StepStatus.FAILED, {k: v for k, v in broken.error.items() if k != "node_id"})
    assert [steps_of(mail) for mail in mails] == [[("mail", 1, "succeeded")]] * 3


def test_a_trigger_runs_the_version_it_started_on() -> None:
    """Invariant 8: also beside a trigger of the same workflow that runs the next version."""
    workflow = WorkflowFactory(definition=definition({**SMS, "body": "one"}))
    first = TriggerFactory(workflow=workflow)
    WorkflowVersion.objects.create(
        workflow=workflow, number=2, definition=definition({**SMS, "id": "other", "body": "two"})
    )
    workflow.version = 2
    workflow.save()
    second = TriggerFactory(workflow=workflow)

    advance_lane("medium")

    assert (text_of(first)["body"], text_of(second, "other")["body"]) == ("one", "two")
    assert (steps_of(first), steps_of(second)) == ([("text", 1, "succeeded")], [("other", 1, "succeeded")])


def test_the_engines_names_win_over_the_callers() -> None:
    body = "{{ recipient.name }} {{ workflow.key }} {{ trigger.id }} {{ steps.mail.provider }} {{ colour }}"
    workflow = WorkflowFactory(definition=definition(EMAIL, {**SMS, "body": body}))
    theirs = {"recipient": {"name": "Eve"}, "workflow": {"key": "x"}, "trigger": {"id": 1}, "steps": {}}
    trigger = TriggerFactory(workflow=workflow, context={**theirs, "colour": "red"})

    advance_lane("medium")

    assert text_of(trigger)["body"] == f"Ann {workflow.key} {trigger.pk} outbox red"


def test_a_strict_workflow_fails_for_good_when_a_variable_is_missing() -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL, strict_variables=True))
    trigger = TriggerFactory(workflow=workflow, context={})

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "undefined_variable")
    assert "order.id" in trigger.error["message"]
    assert (DeadLetter.objects.get().attempts, DeadLetter.objects.get().is_transient) == (1, False)
    assert not Path(django_settings.OUTBOX_DIR).exists()


@pytest.mark.parametrize("node", [EMAIL, SMS])
def test_a_message_to_nobody_fails_for_good_and_says_what_was_missing(node: dict[str, Any]) -> None:
    workflow = WorkflowFactory(definition=definition({**node, "to": "{{ manager.address }}"}))
    trigger = TriggerFactory(workflow=workflow)

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "empty_recipient")
    assert trigger.error["is_transient"] is False
    assert Step.objects.get().output["missing_variables"] == ["manager.address"]


def test_a_fan_out_with_a_dead_branch_joins_again() -> None:
    mail, dear, dearest, after, join = EMAIL, *({**SMS, "id": name} for name in ("dear", "dearest", "after", "join"))
    workflow = WorkflowFactory(
        definition=definition(
            mail, dear, dearest, after, join,
            edges=[
                ("mail", "dear", "order.total > 50 and steps.mail.provider == 'outbox'"),
                ("mail", "dearest", "order.total > 1000 or steps.mail.provider != 'outbox'"),
                ("dearest", "after"), ("dear", "join"), ("after", "join"),
            ],
        )
    )  # fmt: skip
    trigger = TriggerFactory(workflow=workflow)

    advance_lane("medium")

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert sorted(steps_of(trigger)) == [
        ("after", 0, "skipped"),
        ("dear", 1, "succeeded"),
        ("dearest", 0, "skipped"),
        ("join", 1, "succeeded"),
        ("mail", 1, "succeeded"),
    ]


def test_a_condition_names_what_a_step_of_an_earlier_claim_gave() -> None:
    workflow = WorkflowFactory(
        definition=definition(
            EMAIL, DELAY, SMS, edges=[("mail", "wait"), ("wait", "text", "steps.mail.provider == 'outbox'")]
        )
    )
    trigger = TriggerFactory(workflow=workflow)
    advance_lane("medium")
    Trigger.objects.update(available_at=timezone.now())

    advance_lane("medium")

    assert steps_of(trigger) == [("mail", 1, "succeeded"), ("wait", 1, "succeeded"), ("text", 1, "succeeded")]
