"""What is late by an outage is dropped and said so: never sent, by no worker, retry or redrive."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone
from msgspec.structs import replace
from rest_framework.test import APIClient

from execution.models import DeadLetter, Step
from execution.redrive import redrive_trigger
from execution.runner import advance_lane
from execution.runs import load_runs
from execution.sending import Sender
from execution.verdicts import verdict
from tests.factories import ANN, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
WAIT = {"id": "wait", "type": "delay", "duration": "PT1H"}


def one_time_password(**fields: Any) -> Workflow:
    return WorkflowFactory(definition=definition({**EMAIL, "ttl_s": 300, **fields}))


def let_pass(time: timedelta) -> None:
    """Be the clock: all that stands in the rows happened so much earlier."""
    Trigger.objects.update(
        created_at=F("created_at") - time, available_at=F("available_at") - time, expires_at=F("expires_at") - time
    )


def steps_of(trigger: Trigger) -> list[tuple[str, int, str, str]]:
    """Return node, attempt, status and error code of each step."""
    steps = Step.objects.filter(trigger=trigger).order_by("pk")
    return [(step.node_id, step.attempt, step.status, (step.error or {}).get("code", "")) for step in steps]


def refreshed(trigger: Trigger) -> Any:
    """Return the trigger as it stands now; its JSON columns are read without asking whether they are null."""
    trigger.refresh_from_db()
    return trigger


def test_what_was_asked_for_before_an_outage_is_dropped_after_it(api: APIClient, smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory()
    body = {"workflow": workflow.key, "idempotency_key": "otp", "recipient": ANN, "ttl_s": 300}
    trigger = Trigger.objects.get(pk=api.post("/api/v1/triggers/", body).json()["id"])

    let_pass(HOUR)
    assert advance_lane("medium") == 1

    assert smtp.mails == []
    trigger = refreshed(trigger)
    assert (trigger.status, trigger.current_node_id) == (TriggerStatus.FAILED, "mail")
    assert trigger.error["code"] == "expired"
    assert steps_of(trigger) == [("mail", 1, "failed", "expired")]
    assert DeadLetter.objects.get(trigger=trigger).code == "expired"


def test_in_time_it_is_sent(api: APIClient, smtp: FakeSmtp) -> None:
    body = {"workflow": one_time_password().key, "idempotency_key": "otp", "recipient": ANN, "ttl_s": 300}
    api.post("/api/v1/triggers/", body)

    let_pass(299 * SECOND - SECOND)
    advance_lane("medium")

    assert len(smtp.mails) == 1
    assert Trigger.objects.get().status == TriggerStatus.COMPLETED


def test_a_nodes_time_to_live_outlasts_no_outage_either(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory(workflow=one_time_password())

    let_pass(HOUR)
    advance_lane("medium")

    assert smtp.mails == []
    assert refreshed(trigger).error["code"] == "expired"


def test_a_redrive_sends_nothing_that_is_late(smtp: FakeSmtp) -> None:
    by_trigger = TriggerFactory(expires_at=timezone.now() + SECOND * 300)
    by_node = TriggerFactory(workflow=one_time_password())
    let_pass(HOUR)
    advance_lane("medium")

    for trigger in (by_trigger, by_node):
        redrive_trigger(trigger.pk)
    assert advance_lane("medium") == 2

    assert smtp.mails == []
    for trigger in (by_trigger, by_node):
        assert refreshed(trigger).status == TriggerStatus.FAILED
        assert steps_of(trigger) == [("mail", 1, "failed", "expired"), ("mail", 2, "failed", "expired")]
        assert DeadLetter.objects.filter(trigger=trigger, code="expired").count() == 2


def test_a_redrive_of_what_never_got_a_state_sends_nothing_late_either(smtp: FakeSmtp) -> None:
    """As after its version could not be run: the redrive moves `available_at`, and the node is as old as before."""
    trigger = TriggerFactory(workflow=one_time_password())
    let_pass(HOUR)
    now = timezone.now()
    Trigger.objects.update(status=TriggerStatus.FAILED, completed_at=now, error={"code": "invalid_definition"})

    redrive_trigger(trigger.pk)
    advance_lane("medium")

    assert smtp.mails == []
    assert refreshed(trigger).error["code"] == "expired"


def test_a_retry_that_would_come_too_late_is_not_made(smtp: FakeSmtp) -> None:
    smtp.reply("RCPT", "451 4.3.0 try again later")
    trigger = TriggerFactory(
        workflow=one_time_password(retry={"intervals_s": [3600]}), expires_at=timezone.now() + HOUR
    )

    advance_lane("medium")

    trigger = refreshed(trigger)
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "expired")
    assert trigger.error["message"].startswith("Not tried again: ")
    [(node_id, attempt, status, code)] = steps_of(trigger)
    assert (node_id, attempt, status) == ("mail", 1, "failed")
    assert code != "expired"


def test_a_retry_that_a_worker_comes_late_to_is_dropped(smtp: FakeSmtp) -> None:
    smtp.reply("RCPT", "451 4.3.0 try again later")
    trigger = TriggerFactory(expires_at=timezone.now() + SECOND * 300)
    advance_lane("medium")
    assert refreshed(trigger).status == TriggerStatus.ENQUEUED

    let_pass(HOUR)
    advance_lane("medium")

    assert smtp.mails == []
    trigger = refreshed(trigger)
    assert (trigger.status, trigger.error["code"], trigger.attempts) == (TriggerStatus.FAILED, "expired", 2)
    assert [(step[1], step[3] == "expired") for step in steps_of(trigger)] == [(1, False), (2, True)]


def test_a_worker_that_is_late_between_intent_and_send_does_not_send(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory(expires_at=timezone.now() + HOUR)
    _, (send,) = claim_and_write_intents()
    late = replace(send, send_by=timezone.now())

    with Sender(threads=1) as sender:
        sender.send_until = float("inf")
        sender.submit([late])
        (answer,) = sender.collect(timeout=5)

    result = verdict(answer, now=timezone.now(), dice=0.5)
    assert smtp.mails == []
    assert result.error is not None
    assert (result.run.id, result.error["code"]) == (trigger.pk, "expired")


def test_a_delay_that_outlasts_the_trigger_ends_with_it(smtp: FakeSmtp) -> None:
    expires_at = timezone.now() + SECOND * 300
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(WAIT, EMAIL)), expires_at=expires_at)

    advance_lane("medium")
    assert refreshed(trigger).available_at == expires_at

    state = refreshed(trigger).run_state
    state["ready"]["wait"]["at"] = (expires_at - HOUR).isoformat()
    Trigger.objects.update(run_state=state, available_at=expires_at - HOUR, expires_at=expires_at - HOUR)
    advance_lane("medium")

    assert smtp.mails == []
    assert refreshed(trigger).status == TriggerStatus.FAILED
    assert steps_of(trigger) == [("wait", 1, "skipped", "expired")]


def test_what_was_sent_before_the_expiry_stays_sent_and_is_recorded(smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL, WAIT, SMS))
    trigger = TriggerFactory(workflow=workflow, expires_at=timezone.now() + SECOND * 300)
    advance_lane("medium")
    state = refreshed(trigger).run_state
    past = timezone.now() - SECOND
    state["ready"]["wait"]["at"] = past.isoformat()
    Trigger.objects.update(run_state=state, available_at=past, expires_at=past)

    advance_lane("medium")

    assert len(smtp.mails) == 1
    assert steps_of(trigger) == [("mail", 1, "succeeded", ""), ("wait", 1, "skipped", "expired")]


def test_the_age_of_an_entry_node_is_that_of_its_trigger_not_of_its_redrive() -> None:
    an_hour_ago = timezone.now() - HOUR
    scheduled = TriggerFactory(created_at=an_hour_ago - HOUR, scheduled_at=an_hour_ago)
    fresh = TriggerFactory(created_at=an_hour_ago, available_at=an_hour_ago)

    runs, _ = load_runs([scheduled.pk, fresh.pk])

    assert [run.state.ready["mail"].first_at for run in runs] == [an_hour_ago, an_hour_ago]
    assert [run.state.ready["mail"].since for run in runs] == [an_hour_ago, None]
