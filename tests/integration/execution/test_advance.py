"""A trigger's way, on PostgreSQL, through the outbox."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from execution.models import DeadLetter, Step
from execution.runner import advance_lane
from execution.states import StepStatus
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


def outbox() -> list[str]:
    folder = Path(settings.OUTBOX_DIR)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_chain_of_messages_is_carried_to_its_end_in_one_claim() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))

    assert advance_lane("medium") == 1

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert outbox() == [f"{trigger.pk}.mail.eml", f"{trigger.pk}.text.sms.json"]
    text = json.loads((Path(settings.OUTBOX_DIR) / f"{trigger.pk}.text.sms.json").read_text())
    assert text["body"] == "Picked up yet, Ann?"
    steps = list(Step.objects.filter(trigger=trigger).order_by("pk"))
    assert [(s.node_id, s.attempt, s.status) for s in steps] == [("mail", 1, "succeeded"), ("text", 1, "succeeded")]


def test_a_delay_lets_go_of_the_trigger_and_ends_it_later() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, DELAY, SMS)))

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.current_node_id) == (TriggerStatus.ENQUEUED, "wait")
    assert timezone.now() + timedelta(hours=23) < trigger.available_at < timezone.now() + timedelta(hours=25)
    assert advance_lane("medium") == 0
    Trigger.objects.filter(pk=trigger.pk).update(available_at=timezone.now())
    assert advance_lane("medium") == 1
    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert list(Step.objects.filter(trigger=trigger).order_by("pk").values_list("node_id", "status")) == [
        ("mail", StepStatus.SUCCEEDED),
        ("wait", StepStatus.SUCCEEDED),
        ("text", StepStatus.SUCCEEDED),
    ]


def test_a_permanent_error_ends_in_a_dead_letter_after_one_attempt() -> None:
    trigger = TriggerFactory(recipient={"email": "not an address"})

    advance_lane("medium")

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.FAILED
    assert trigger.error["code"] == "invalid_address"
    letter = DeadLetter.objects.get(trigger=trigger)
    assert (letter.node_id, letter.attempts, letter.is_transient) == ("mail", 1, False)
