"""A node run on request: one node, once, by the same claims as the engine's own workers."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier, Event
from typing import Any

import psycopg
import pytest
from aiosmtpd.smtp import Envelope
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry
from accounts.roles import Role
from execution.models import DeadLetter, Step
from execution.process import Held, NotDue, process_trigger
from execution.runner import advance_lane
from execution.sweep import sweep
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.api.answers import call, errors_of, signed_in
from tests.integration.execution.conftest import send_to
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


def steps_of(trigger: Trigger) -> list[tuple[str, int, str]]:
    return list(Step.objects.filter(trigger=trigger).order_by("pk").values_list("node_id", "attempt", "status"))


@pytest.mark.parametrize("attempt", range(5))
def test_two_requests_and_a_worker_that_race_send_the_message_once(smtp: FakeSmtp, attempt: int) -> None:
    """Invariants 3 and 4."""
    trigger = TriggerFactory()
    start = Barrier(3)

    def race(deed: Any) -> str:
        try:
            start.wait()
            try:
                return "done" if deed() else "nothing"
            except Exception as error:  # noqa: BLE001  # what it is called is what the test looks at
                return type(error).__name__
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        process = partial(process_trigger, trigger.pk)
        ends = list(pool.map(race, [process, process, partial(advance_lane, "medium")]))

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert len(smtp.mails) == 1
    assert steps_of(trigger) == [("mail", 1, "succeeded")]
    assert ends.count("done") == 1
    assert set(ends) - {"done", "nothing"} <= {"Held", "AlreadyFinished"}
    assert AuditEntry.objects.count() == ends[:2].count("done")


def test_a_trigger_is_held_while_the_request_sends(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory()
    smtp.hang("RCPT", 1)
    sending = Event()

    def process() -> str:
        sending.set()
        try:
            return process_trigger(trigger.pk).status
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(process)
        sending.wait()
        while not Step.objects.filter(status="running").exists():
            assert not first.done()
        with pytest.raises(Held):
            process_trigger(trigger.pk)
        assert advance_lane("medium") == 0
        assert first.result() == TriggerStatus.COMPLETED

    assert len(smtp.mails) == 1


def test_a_trigger_whose_claim_is_being_taken_is_held() -> None:
    trigger = TriggerFactory()

    def process() -> None:
        try:
            process_trigger(trigger.pk)
        finally:
            connection.close()

    with transaction.atomic():
        Trigger.objects.select_for_update().get(pk=trigger.pk)
        with ThreadPoolExecutor(1) as pool, pytest.raises(Held):
            pool.submit(process).result()

    assert (Step.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_only_the_due_node_is_run_and_a_worker_called_for_the_next(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))

    given_back = process_trigger(trigger.pk)

    assert (given_back.status, given_back.current_node_id, given_back.claim_id) == ("enqueued", "text", None)
    assert given_back.available_at <= timezone.now()
    assert steps_of(trigger) == [("mail", 1, "succeeded")]
    assert cache.get("bell:medium") is not None
    assert advance_lane("medium") == 1
    assert steps_of(trigger) == [("mail", 1, "succeeded"), ("text", 1, "succeeded")]


def test_a_delay_begins_and_is_not_due_until_it_is_over() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(DELAY, EMAIL)))

    begun = process_trigger(trigger.pk)

    assert (begun.status, begun.current_node_id, steps_of(trigger)) == ("enqueued", "wait", [("wait", 1, "waiting")])
    with pytest.raises(NotDue) as refused:
        process_trigger(trigger.pk)
    assert refused.value.available_at == begun.available_at > timezone.now() + timedelta(hours=23)
    Trigger.objects.update(available_at=timezone.now())
    ended = process_trigger(trigger.pk)
    assert (ended.status, ended.current_node_id, steps_of(trigger)) == ("enqueued", "mail", [("wait", 1, "succeeded")])
    assert process_trigger(trigger.pk).status == TriggerStatus.COMPLETED


def test_a_delay_of_no_length_takes_a_call_to_begin_and_one_to_end() -> None:
    wait = {"id": "wait", "type": "delay", "duration": "PT0S"}
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(wait, EMAIL)))

    for expected in ("waiting", "succeeded"):
        assert process_trigger(trigger.pk).status == TriggerStatus.ENQUEUED
        assert steps_of(trigger) == [("wait", 1, expected)]


def test_a_failed_attempt_leaves_the_trigger_waiting_for_the_next(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory()
    smtp.reply("RCPT", "451 try again later")

    waiting = process_trigger(trigger.pk)

    assert (waiting.status, waiting.attempts, waiting.last_step_status) == ("enqueued", 1, "failed")
    assert waiting.error is not None
    assert waiting.error["is_transient"] is True
    with pytest.raises(NotDue):
        process_trigger(trigger.pk)
    Trigger.objects.update(available_at=timezone.now())
    assert process_trigger(trigger.pk).status == TriggerStatus.COMPLETED
    assert steps_of(trigger) == [("mail", 1, "failed"), ("mail", 2, "succeeded")]
    assert (len(smtp.mails), DeadLetter.objects.count()) == (1, 0)


class Witness(FakeSmtp):
    """An SMTP server that looks, while it takes a mail, at the connection of whoever processes; and may cut it."""

    backend = 0
    cuts = False

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def receive(self, envelope: Envelope) -> None:
        parameters = connection.get_connection_params()
        wanted = {name: parameters[name] for name in ("dbname", "user", "host", "port") if name in parameters}
        with psycopg.connect(**wanted) as looking:
            state = looking.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [self.backend]).fetchone()
            steps = looking.execute("SELECT status FROM execution_step").fetchall()
            entries = looking.execute("SELECT action FROM accounts_auditentry").fetchall()
            if self.cuts:
                looking.execute("SELECT pg_terminate_backend(%s)", [self.backend])
        self.seen.append((state, steps, entries))
        super().receive(envelope)


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_no_transaction_is_open_while_a_request_sends(settings: Settings) -> None:
    """Invariants 5 and 6, over HTTP: nothing wraps the request; intent and audit entry stand before the send."""
    client = signed_in(UserFactory(role=Role.WORKER_SERVICE))
    trigger = TriggerFactory()
    with Witness() as witness:
        send_to(witness, settings)
        witness.backend = backend()

        assert call(client, "POST", f"triggers/{trigger.pk}/process/").status_code == 200

    assert witness.seen == [(("idle",), [("running",)], [("trigger.processed",)])]


def test_a_database_that_goes_away_during_the_send_costs_no_answer(settings: Settings) -> None:
    client = signed_in(UserFactory(role=Role.WORKER_SERVICE))
    trigger = TriggerFactory()
    with Witness() as witness:
        send_to(witness, settings)
        witness.backend, witness.cuts = backend(), True

        answer = call(client, "POST", f"triggers/{trigger.pk}/process/")

    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert steps_of(trigger) == [("mail", 1, "succeeded")]
    assert Counter(AuditEntry.objects.values_list("action", flat=True)) == {"trigger.processed": 1}


def test_a_run_that_the_database_cuts_short_is_503_and_is_taken_up_again() -> None:
    client = signed_in(UserFactory(role=Role.WORKER_SERVICE))
    trigger = TriggerFactory()
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("dbname", "user", "host", "port") if name in parameters}
    with psycopg.connect(**wanted) as locking, connection.cursor() as cursor:
        # The claim goes through; reading the steps does not, within this time.
        locking.execute("LOCK TABLE execution_step IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET statement_timeout = '300ms'")
        answer = call(client, "POST", f"triggers/{trigger.pk}/process/")

    assert (answer.status_code, errors_of(answer)) == (503, [(None, "interrupted")])
    assert (Step.objects.count(), AuditEntry.objects.count()) == (0, 1)
    sweep(now=timezone.now() + timedelta(minutes=10))
    assert process_trigger(trigger.pk).status == TriggerStatus.COMPLETED
