"""Operators see what happened to a trigger and what happens next, cancel it and redrive it."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from execution.models import DeadLetter
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.admin.conftest import failed_trigger, said, step, told
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

LIST = "/admin/triggers/trigger/"
LETTERS = "/admin/execution/deadletter/"


def page(trigger: Trigger, name: str = "change") -> str:
    return reverse(f"admin:triggers_trigger_{name}", args=[trigger.pk])


def offered(response: Any) -> list[str]:
    return [action["title"] for action in response.context["actions_detail"]]


def test_the_page_tells_the_steps_in_order_with_their_errors(console: Client) -> None:
    trigger = TriggerFactory(
        workflow=WorkflowFactory(definition=definition(EMAIL, DELAY, SMS)),
        current_node_id="wait",
        available_at=timezone.now() + timedelta(hours=23, minutes=1),
    )
    error = {"code": "rate_limited", "message": "slow down", "is_transient": True}
    step(trigger, "mail", "failed", error=error)
    step(trigger, "mail", attempt=2, message_id="<m2@example.org>", output={"missing_variables": ["order.nr"]})
    until = trigger.available_at.isoformat()
    step(trigger, "wait", "waiting", node_type="delay", provider="", output={"until": until})

    response = console.get(page(trigger))

    entries = response.context["steps"]
    assert [(each["step"].node_id, each["step"].attempt) for each in entries] == [("mail", 1), ("mail", 2), ("wait", 1)]
    text = said(response)
    assert "slow down" in text
    assert "&lt;m2@example.org&gt;" in text
    assert "order.nr" in text
    assert "(in 23 hours) in the delay wait, and goes on from there." in text
    assert text.count("nf-mark-succeeded") == 1
    assert text.count("nf-mark-waiting") == 1


def test_the_page_of_a_failed_trigger_explains_it(console: Client) -> None:
    trigger = failed_trigger()

    response = console.get(page(trigger))

    text = said(response)
    assert "Nothing, until somebody redrives it: it then goes on from node mail" in text
    assert "this is not an email address" in text
    assert "Trying again as it is would not help" in text
    assert reverse("admin:execution_deadletter_change", args=[DeadLetter.objects.get().pk]) in text
    assert offered(response) == ["Redrive this trigger"]


def test_what_a_trigger_carries_is_shown_and_never_becomes_markup(console: Client) -> None:
    evil = "</pre><script>alert(1)</script>"
    trigger = TriggerFactory(idempotency_key=evil, recipient={"name": evil}, context={evil: "ß"})
    step(trigger, "mail", "failed", error={"code": "x", "message": evil, "is_transient": True}, provider=evil[:40])

    for address in (page(trigger), LIST, page(trigger, "cancel"), "/admin/execution/step/"):
        assert "<script>alert" not in said(console.get(address))
    assert "ß" in said(console.get(page(trigger)))


def test_an_unknown_trigger_is_told_and_not_an_error(console: Client) -> None:
    for model in ("triggers/trigger", "execution/step", "execution/deadletter", "workflows/workflow"):
        assert console.get(f"/admin/{model}/nonsense/change/").status_code == 302
    assert console.get("/admin/triggers/trigger/nonsense/cancel/").status_code == 302


def test_cancel_asks_first_and_then_says_what_was_sent(console: Client) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)), current_node_id="text")
    step(trigger, "mail", provider="ses")
    step(trigger, "text", "running", node_type="sms", provider="twilio")
    assert offered(console.get(page(trigger))) == ["Cancel this trigger"]

    asked = console.get(page(trigger, "cancel"))
    trigger.refresh_from_db()
    assert (asked.status_code, trigger.status) == (200, "enqueued")

    response = console.post(page(trigger, "cancel"), follow=True)
    trigger.refresh_from_db()
    assert trigger.status == "canceled"
    assert told(response) == [
        "Canceled. Already sent: mail (email by ses). Being sent at this moment, or in doubt: text (sms by twilio)."
    ]
    assert offered(response) == []
    assert LogEntry.objects.get().change_message == "Canceled."
    assert "Canceled." in said(console.get(page(trigger, "history")))


def test_a_cancellation_before_any_message_says_so(console: Client) -> None:
    response = console.post(page(TriggerFactory(), "cancel"), follow=True)

    assert told(response) == ["Canceled. No message had been sent, and none will be."]


def test_a_finished_trigger_is_not_canceled(console: Client) -> None:
    trigger = TriggerFactory(status="completed", completed_at=timezone.now())

    response = console.post(page(trigger, "cancel"), follow=True)

    assert told(response) == ["The trigger is completed already."]
    assert LogEntry.objects.count() == 0


def test_redrive_asks_first_and_then_says_where_it_goes_on(console: Client) -> None:
    trigger = failed_trigger()
    step(trigger, "before", provider="ses")

    asked = console.get(page(trigger, "redrive"))
    trigger.refresh_from_db()
    assert (asked.status_code, trigger.status) == (200, "failed")

    response = console.post(page(trigger, "redrive"), follow=True)
    trigger.refresh_from_db()
    assert trigger.status == "enqueued"
    assert told(response) == [
        "Redriven: it goes on from node mail. Already sent, and not sent again: before (email by ses)."
    ]
    assert "redriven" in said(response)
    assert {box.node.id: box.mark for box in response.context["drawing"].boxes} == {"mail": "next"}


def test_what_has_not_failed_is_not_redriven(console: Client) -> None:
    response = console.post(page(TriggerFactory(), "redrive"), follow=True)

    assert told(response) == ["The trigger is enqueued, not failed."]


def test_a_selection_is_canceled_after_a_confirmation(console: Client) -> None:
    sent, ended = TriggerFactory(), TriggerFactory(status="canceled", completed_at=timezone.now())
    step(sent)
    data = {"action": "cancel_selected", "_selected_action": [str(sent.pk), str(ended.pk)]}

    asked = console.post(LIST, data)
    sent.refresh_from_db()
    assert sent.status == "enqueued"
    assert "Cancel 2 trigger(s)?" in said(asked)
    assert dict(asked.context["fields"])["confirmed"] == "yes"

    response = console.post(LIST, {**data, "confirmed": "yes"}, follow=True)
    sent.refresh_from_db()
    assert sent.status == "canceled"
    assert told(response) == [
        "1 trigger canceled. Before that, they had sent 1 message(s); 0 were being sent or in doubt.",
        "1 trigger left as they were: they had ended already.",
    ]
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(sent.pk)]


def test_a_selection_is_redriven_after_a_confirmation(console: Client) -> None:
    failed, other = failed_trigger(), TriggerFactory()
    data = {"action": "redrive_selected", "_selected_action": [str(failed.pk), str(other.pk)]}

    console.post(LIST, data)
    assert Trigger.objects.filter(status="failed").count() == 1

    response = console.post(LIST, {**data, "confirmed": "yes"}, follow=True)
    assert Trigger.objects.filter(status="failed").count() == 0
    assert told(response) == [
        "1 trigger redriven, each from the node that failed.",
        "1 trigger left as they were: they had not failed.",
    ]


def test_dead_letters_are_redriven_from_their_list_and_their_page(console: Client) -> None:
    first, second = failed_trigger(), failed_trigger()
    letter = DeadLetter.objects.get(trigger=first)
    address = reverse("admin:execution_deadletter_change", args=[letter.pk])
    assert offered(console.get(address))[0] == "Redrive this trigger"

    console.post(reverse("admin:execution_deadletter_redrive", args=[letter.pk]))
    first.refresh_from_db()
    assert first.status == "enqueued"
    assert offered(console.get(address)) == []

    other = DeadLetter.objects.get(trigger=second)
    data = {"action": "redrive_selected", "_selected_action": [str(other.pk)]}
    assert "Redrive 1 trigger(s)?" in said(console.post(LETTERS, data))
    console.post(LETTERS, {**data, "confirmed": "yes"})
    second.refresh_from_db()
    assert second.status == "enqueued"


def test_a_trigger_of_a_deleted_workflow_stays_readable(console: Client) -> None:
    workflow = WorkflowFactory(name="Gone", is_active=False, deleted_at=timezone.now())
    trigger = TriggerFactory(workflow=workflow, status="completed", completed_at=timezone.now(), current_node_id="")

    assert "Gone (deleted)" in said(console.get(page(trigger)))
