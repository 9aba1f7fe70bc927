"""Operators cancel all triggers of a kind: from what the list shows, after a look at how many and which."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.admin_lists import first_id_at
from accounts.models import AuditEntry
from execution import admin_cancel, cancel
from execution.claims import claim_batch
from tests.factories import TriggerFactory, WorkflowFactory
from tests.integration.admin.conftest import said, step, told
from tests.integration.rows import changed, every_row
from triggers.models import Trigger
from workflows.models import Workflow
from workflows.priorities import Priority

pytestmark = pytest.mark.django_db

LIST = "/admin/triggers/trigger/"
PAGE = "/admin/triggers/trigger/cancel-by-filter/"
HELLO: dict[str, Any] = {"workflow": "hello"}


@pytest.fixture
def hello() -> Workflow:
    """Return the workflow that most tests choose by."""
    made: Workflow = WorkflowFactory(key="hello")
    return made


def canceled() -> set[Any]:
    """Return the ids of the canceled triggers."""
    return set(Trigger.objects.filter(status="canceled").values_list("pk", flat=True))


def made_before(age: timedelta, **fields: Any) -> Trigger:
    """Store a trigger that was accepted so long ago."""
    then = timezone.now() - age
    made: Trigger = TriggerFactory(pk=first_id_at(then), created_at=then, **fields)
    return made


def asked(answer: Any) -> str:
    """Return the question that the page asks."""
    return str(answer.context["question"].title)


def button(answer: Any) -> tuple[str, dict[str, list[str]]]:
    """Return where the list's button leads: the page, and what it is told."""
    (action,) = answer.context["actions_list"]
    assert action["title"] == "Cancel by filter..."
    parts = urlsplit(action["path"])
    return parts.path, parse_qs(parts.query)


def test_the_page_counts_shows_some_and_changes_nothing(console: Client, hello: Workflow) -> None:
    ours = [TriggerFactory(workflow=hello) for _ in range(12)]
    TriggerFactory(workflow=hello, status="completed", completed_at=timezone.now())
    other = TriggerFactory()
    before = every_row()

    answer = console.get(PAGE, HELLO)

    assert asked(answer) == "Cancel 12 triggers?"
    *examples, more = answer.context["subjects"]
    assert [line.partition(" ")[0] for line in examples] == [trigger.idempotency_key for trigger in ours[:10]]
    assert "(enqueued, hello, " in examples[0]
    assert more == "and so on"
    assert other.idempotency_key not in said(answer)
    assert changed(before) == set()


def test_then_it_cancels_what_was_looked_at_and_nothing_else(console: Client, hello: Workflow) -> None:
    ours = [TriggerFactory(workflow=hello) for _ in range(3)]
    done = TriggerFactory(workflow=hello, status="completed", completed_at=timezone.now())
    other = TriggerFactory()
    step(ours[0], status="running")
    page = console.get(PAGE, HELLO)

    answer = console.post(PAGE, dict(page.context["fields"]), follow=True)

    assert canceled() == {trigger.pk for trigger in ours}
    assert set(Trigger.objects.exclude(status="canceled").values_list("pk", flat=True)) == {done.pk, other.pk}
    assert told(answer) == ["3 canceled. 1 of their messages were being sent at that moment, or in doubt."]
    assert answer.redirect_chain == [(LIST, 302)]


def test_each_is_in_the_audit_trail_with_the_filter(console: Client, hello: Workflow) -> None:
    ours = [TriggerFactory(workflow=hello, priority=Priority.LOW) for _ in range(2)]

    console.post(PAGE, {**HELLO, "priority": "low", "created_after": "2026-01-01T01:00:00+01:00"})

    entries = list(AuditEntry.objects.all())
    assert {str(entry.object_id) for entry in entries} == {str(trigger.pk) for trigger in ours}
    assert {(entry.via, entry.action) for entry in entries} == {("admin", "trigger.canceled")}
    told_filter = {"workflow": "hello", "priority": "low", "created_after": "2026-01-01 00:00:00+00:00"}
    assert [entry.changes["filter"] for entry in entries] == [told_filter] * 2


def test_each_field_narrows(console: Client, hello: Workflow) -> None:
    old = made_before(timedelta(days=3), workflow=hello, priority=Priority.LOW)
    held = made_before(timedelta(days=2), workflow=hello, priority=Priority.HIGH)
    new, other = TriggerFactory(workflow=hello), TriggerFactory()
    claim_batch("high", limit=1, now=timezone.now())
    between = (timezone.now() - timedelta(days=2.5)).isoformat()
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    def found(**query: str) -> set[str]:
        subjects = console.get(PAGE, query).context["subjects"]
        return {line.partition(" ")[0] for line in subjects}

    def keys(*triggers: Trigger) -> set[str]:
        return {trigger.idempotency_key for trigger in triggers}

    assert found(workflow="hello") == found(workflow=str(hello.pk)) == keys(old, held, new)
    assert found(workflow="hello", status="processing") == keys(held)
    assert found(workflow="hello", status="enqueued") == keys(old, new)
    assert found(workflow="hello", priority="low") == keys(old)
    assert found(created_before=yesterday) == keys(old, held)
    assert found(created_after=yesterday) == keys(new, other)
    assert found(created_after=between, created_before=yesterday) == keys(held)
    assert found(key=new.idempotency_key) == found(key=str(new.pk)) == keys(new)
    assert found(workflow="unknown") == set()

    console.post(PAGE, {"workflow": "hello", "status": "processing", "created_after": between})
    assert canceled() == {held.pk}


@pytest.mark.parametrize("query", [{}, {"status": "enqueued"}, {"priority": "low"}, {"workflow": " ", "key": ""}])
def test_none_is_canceled_by_oversight(console: Client, query: dict[str, str]) -> None:
    TriggerFactory(priority=Priority.LOW)

    for answer in (console.get(PAGE, query), console.post(PAGE, query)):
        assert (asked(answer), answer.context["form"]) == ("Which triggers?", None)
    assert canceled() == set()


@pytest.mark.parametrize(
    ("field", "value", "said_of_it"),
    [
        ("status", "failed", "failed is not one of the available choices"),
        ("priority", "urgent", "urgent is not one of the available choices"),
        ("created_after", "yesterday", "This is not a time as in"),
        ("created_before", "2026-03-05T09:00:00", "Give the offset from UTC"),
        ("workflow", "x" * 101, "at most 100 characters"),
        ("key", "\x00", "Null characters are not allowed"),
    ],
)
def test_what_can_not_be_understood_widens_nothing(
    console: Client, hello: Workflow, field: str, value: str, said_of_it: str
) -> None:
    TriggerFactory(workflow=hello)

    for answer in (console.get(PAGE, HELLO | {field: value}), console.post(PAGE, HELLO | {field: value})):
        assert (asked(answer), answer.context["form"]) == ("Which triggers?", None)
        assert said_of_it in said(answer)
    assert canceled() == set()


def test_where_nothing_is_under_way_nothing_is_offered(console: Client, hello: Workflow) -> None:
    TriggerFactory(workflow=hello, status="completed", completed_at=timezone.now())

    answer = console.get(PAGE, HELLO)

    assert (asked(answer), answer.context["form"]) == ("No trigger under way meets this", None)


def test_many_are_canceled_in_several_goes(console: Client, hello: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "MOST_AT_ONCE", 2)
    ours = [TriggerFactory(workflow=hello) for _ in range(3)]

    answer = console.post(PAGE, HELLO | {"created_after": "2026-01-01T01:00:00.5+01:00"}, follow=True)

    assert canceled() == {trigger.pk for trigger in ours[:2]}
    assert told(answer) == ["2 canceled. 1 are left: do it again for those."]
    again = urlencode({"workflow": "hello", "created_after": "2026-01-01T00:00:00.500000+00:00"})
    assert answer.redirect_chain == [(f"{PAGE}?{again}", 302)]
    assert asked(answer) == "Cancel 1 trigger?"

    assert told(console.post(PAGE, dict(answer.context["fields"]), follow=True)) == ["1 canceled."]
    assert canceled() == {trigger.pk for trigger in ours}


def test_a_multitude_is_counted_no_further_than_it_helps(
    console: Client, hello: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_cancel, "MOST_COUNTED", 2)
    for _ in range(4):
        TriggerFactory(workflow=hello)

    with CaptureQueriesContext(connection) as captured:
        answer = console.get(PAGE, HELLO)

    assert asked(answer) == "Cancel more than 2 triggers?"
    assert [query["sql"] for query in captured if "COUNT" in query["sql"] and "LIMIT 3" not in query["sql"]] == []


def test_the_button_takes_what_the_list_shows_with_it(console: Client) -> None:
    assert button(console.get(LIST)) == (PAGE, {})
    query = {"status": "enqueued", "workflow": "hello", "priority": "low", "q": "order-1"}
    expected = {"status": ["enqueued"], "workflow": ["hello"], "priority": ["low"], "key": ["order-1"]}
    assert button(console.get(LIST, query)) == (PAGE, expected)

    _, taken = button(console.get(LIST, {"created": "day"}))
    (moment,) = taken["created_after"]
    ago = timezone.now() - datetime.fromisoformat(moment)
    assert timedelta(days=1) <= ago < timedelta(days=1, minutes=5)


def test_from_the_button_on_it_is_what_the_list_shows(console: Client, hello: Workflow) -> None:
    made_before(timedelta(days=2), workflow=hello)
    new = TriggerFactory(workflow=hello)
    shown = console.get(LIST, {"created": "day", "workflow": "hello"})
    assert [trigger.pk for trigger in shown.context["cl"].result_list] == [new.pk]

    page = console.get(shown.context["actions_list"][0]["path"])
    assert asked(page) == "Cancel 1 trigger?"
    console.post(PAGE, dict(page.context["fields"]))

    assert canceled() == {new.pk}


@pytest.mark.parametrize("query", [{"status": "failed"}, {"created": "ever"}, {"priority": "urgent"}])
def test_what_the_list_shows_and_nobody_can_cancel_is_refused(
    console: Client, hello: Workflow, query: dict[str, str]
) -> None:
    TriggerFactory(workflow=hello)

    page = console.get(console.get(LIST, HELLO | query).context["actions_list"][0]["path"])

    assert (asked(page), page.context["form"]) == ("Which triggers?", None)


def test_a_filter_and_an_example_never_become_markup(console: Client, hello: Workflow) -> None:
    evil = "<script>alert(1)</script>"
    TriggerFactory(workflow=hello, idempotency_key=evil)

    for query in (HELLO, {"workflow": evil}, {"key": evil}, HELLO | {"status": evil}):
        assert "<script>alert" not in said(console.get(PAGE, query))
    assert asked(console.get(PAGE, {"key": evil})) == "Cancel 1 trigger?"


def test_its_address_is_the_one_the_admin_knows() -> None:
    assert reverse("admin:triggers_trigger_cancel_by_filter") == PAGE
