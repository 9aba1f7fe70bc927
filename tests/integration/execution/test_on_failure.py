"""Workflows that go on when a node has failed for good."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from execution.models import DeadLetter, Step
from execution.redrive import redrive_trigger
from execution.runner import advance_lane
from tests.factories import ANN, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)

GOING_ON = {**EMAIL, "on_failure": "continue"}
WAIT = {"id": "wait", "type": "delay", "duration": "PT1H"}
NOBODY = {**ANN, "email": "not an address"}
FALLBACK = [("mail", "text", "steps.mail.failed")]
BODY = "{{ steps.mail.error.code }}: {{ steps.mail.failed }}"


def steps_of(trigger: Trigger) -> list[tuple[str, str]]:
    return list(Step.objects.filter(trigger=trigger).order_by("pk").values_list("node_id", "status"))


def text_of(trigger: Trigger) -> str:
    path = Path(settings.OUTBOX_DIR) / f"{trigger.pk}.text.sms.json"
    return str(json.loads(path.read_text())["body"])


def fallback(**fields: Any) -> Trigger:
    """Return a trigger whose email can't be sent, of a workflow that then sends an SMS."""
    raw = definition(GOING_ON, {**SMS, "body": BODY}, edges=FALLBACK)
    return TriggerFactory(workflow=WorkflowFactory(definition=raw), **{"recipient": NOBODY, **fields})


def test_a_failed_email_leads_to_an_sms_and_the_trigger_completes_and_says_so(api: APIClient) -> None:
    trigger = fallback()

    assert advance_lane("medium") == 1

    shown = api.get(f"/api/v1/triggers/{trigger.pk}/").json()
    assert (shown["status"], shown["failed_nodes"], shown["error"]) == ("completed", ["mail"], None)
    assert steps_of(trigger) == [("mail", "failed"), ("text", "succeeded")]
    assert text_of(trigger) == "invalid_address: true"
    assert DeadLetter.objects.count() == 0


def test_an_email_that_is_sent_leads_to_no_sms(api: APIClient) -> None:
    trigger = fallback(recipient=ANN)

    advance_lane("medium")

    assert api.get(f"/api/v1/triggers/{trigger.pk}/").json()["failed_nodes"] == []
    assert steps_of(trigger) == [("mail", "succeeded"), ("text", "skipped")]


def test_a_later_claim_sees_the_error_too() -> None:
    raw = definition(GOING_ON, WAIT, {**SMS, "body": BODY})
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=raw), recipient=NOBODY)
    advance_lane("medium")
    trigger.refresh_from_db()
    assert (trigger.status, trigger.failed_nodes, trigger.error) == (TriggerStatus.ENQUEUED, ["mail"], None)

    Trigger.objects.update(available_at=timezone.now())
    advance_lane("medium")

    assert text_of(trigger) == "invalid_address: true"
    trigger.refresh_from_db()
    assert (trigger.status, trigger.failed_nodes) == (TriggerStatus.COMPLETED, ["mail"])


def test_when_the_last_node_fails_the_trigger_completes_all_the_same() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(GOING_ON)), recipient=NOBODY)

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.failed_nodes, trigger.error) == (TriggerStatus.COMPLETED, ["mail"], None)
    assert trigger.last_step_status == "failed"
    assert DeadLetter.objects.count() == 0


def test_a_node_that_ends_the_trigger_later_is_redriven_alone() -> None:
    """What failed and let the workflow go on has ended: the redrive begins behind it."""
    trigger = fallback(recipient={**NOBODY, "phone": "no number"})
    advance_lane("medium")
    trigger.refresh_from_db()
    assert (trigger.status, trigger.current_node_id, trigger.failed_nodes) == (TriggerStatus.FAILED, "text", ["mail"])

    Trigger.objects.update(recipient=ANN)
    redrive_trigger(trigger.pk)
    advance_lane("medium")

    assert steps_of(trigger) == [("mail", "failed"), ("text", "failed"), ("text", "succeeded")]
    trigger.refresh_from_db()
    assert (trigger.status, trigger.failed_nodes) == (TriggerStatus.COMPLETED, ["mail"])


def test_a_node_that_is_late_can_lead_to_another_that_is_not() -> None:
    raw = definition({**GOING_ON, "ttl_s": 60}, {**SMS, "body": BODY}, edges=FALLBACK)
    an_hour_ago = timezone.now() - timedelta(hours=1)
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=raw), created_at=an_hour_ago, available_at=an_hour_ago)

    advance_lane("medium")

    assert steps_of(trigger) == [("mail", "failed"), ("text", "succeeded")]
    assert text_of(trigger) == "expired: true"


def test_the_steps_of_a_failure_that_did_not_end_the_trigger_say_why(api: APIClient) -> None:
    trigger = fallback()
    advance_lane("medium")

    failed = api.get(f"/api/v1/triggers/{trigger.pk}/steps/").json()["results"][0]

    assert (failed["node_id"], failed["status"], failed["error"]["code"]) == ("mail", "failed", "invalid_address")
