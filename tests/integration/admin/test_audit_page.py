"""The audit trail's pages: found by whom, what and when, told in words, and written by nobody."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from uuid_utils.compat import uuid7

from accounts import admin_audit
from accounts.audit import SYSTEM, Action, Actor, Via, entry_of
from accounts.models import AuditEntry
from accounts.roles import Role
from tests.factories import TriggerFactory, UserFactory
from tests.integration.admin.conftest import failed_trigger, said

pytestmark = pytest.mark.django_db

LIST = "/admin/accounts/auditentry/"


def noted(by: Actor = SYSTEM, action: Action = Action.WORKFLOW_CHANGED, **about: Any) -> AuditEntry:
    """Store an entry and return it."""
    entry = entry_of(by, action, **{"object_type": action.partition(".")[0], "object_id": uuid7(), **about})
    entry.save()
    return entry


def shown(client: Client, query: str = "") -> list[str]:
    """Return the names of the objects that the list shows."""
    answer = client.get(f"{LIST}{query}")
    assert answer.status_code == 200
    return [entry.object_name for entry in answer.context["cl"].result_list]


def page(entry: AuditEntry) -> str:
    return reverse("admin:accounts_auditentry_change", args=[entry.pk])


@pytest.mark.parametrize("role", list(Role))
def test_only_a_system_admin_reads_it(signed_in: Callable[..., Client], role: Role) -> None:
    entry, client = noted(), signed_in(role, is_superuser=role is not Role.SYSTEM_ADMIN)
    denied = 302 if role is Role.WORKER_SERVICE else 403

    statuses = {client.get(address).status_code for address in (LIST, page(entry))}

    assert statuses == {200 if role is Role.SYSTEM_ADMIN else denied}


def test_nobody_writes_it(console: Client) -> None:
    entry = noted()

    answers = [
        console.post(f"{LIST}add/", {"actor": "x"}).status_code,
        console.post(page(entry), {"actor": "x"}).status_code,
        console.post(f"{LIST}{entry.pk}/delete/", {"post": "yes"}).status_code,
    ]
    chosen = {"action": "delete_selected", "_selected_action": [str(entry.pk)], "post": "yes"}
    console.post(LIST, chosen)

    assert answers == [403, 403, 403]
    assert AuditEntry.objects.get(pk=entry.pk).actor == "system"


def test_it_is_narrowed_by_action_type_way_actor_object_and_request(console: Client) -> None:
    bea = UserFactory(username="bea")
    one = noted(Actor(bea.pk, "bea", via=Via.ADMIN, request_id="r-1"), Action.TRIGGER_CANCELED, object_name="one")
    noted(object_name="two")
    noted(SYSTEM, Action.TRIGGER_CREATED, object_name="three")

    for query in (
        "action=trigger.canceled", "via=admin", "actor=bea", f"actor={bea.pk}", f"object_id={one.object_id}",
        "request_id=r-1", "object_type=trigger&via=admin", "created=hour&via=admin",
    ):  # fmt: skip
        assert (query, shown(console, f"?{query}")) == (query, ["one"])
    assert shown(console, "?object_type=trigger") == ["three", "one"]
    assert shown(console, "?object_type=workflow") == ["two"]
    assert shown(console, "?action=trigger.created") == ["three"]
    for query in ("action=nonsense", "object_type=x", "via=x", "actor=nobody", "object_id=17", "request_id=r"):
        assert (query, shown(console, f"?{query}")) == (query, [])


def test_a_name_is_looked_for_among_the_newest(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    noted(object_name="order-17-shipped")
    noted(Actor(uuid7(), "orderly"), object_name="other")
    noted(object_name="percent % and _")

    assert shown(console, "?q=ORDER") == ["other", "order-17-shipped"]
    assert shown(console, "?q=17-sh") == ["order-17-shipped"]
    assert shown(console, "?q=%25+and+_") == ["percent % and _"]
    assert shown(console, "?q=nothing") == []
    monkeypatch.setattr(admin_audit, "MOST_SEARCHED", 2)
    assert shown(console, "?q=order") == ["other"]


def test_the_list_leaves_the_changes_in_the_database_and_counts_within_a_bound(console: Client) -> None:
    noted()
    with CaptureQueriesContext(connection) as for_one:
        shown(console)
        first = [query["sql"] for query in for_one]
    noted()
    noted()
    with CaptureQueriesContext(connection) as for_three:
        shown(console)
        second = [query["sql"] for query in for_three]

    assert len(first) == len(second)
    assert [sql for sql in second if '"changes"' in sql] == []
    assert [sql for sql in second if "COUNT(" in sql and "LIMIT" not in sql] == []


def test_an_entry_tells_what_changed_from_what_to_what(console: Client) -> None:
    by = Actor(uuid7(), "bea", Role.WORKFLOW_MANAGER, Via.API_KEY, "nf_abc", "r-9", "192.0.2.7")
    entry = noted(by, object_name="order", changes={"name": ["Old <b>", "New"], "is_active": [True, None], "nodes": 3})

    response = console.get(page(entry))

    assert response.context["changes"] == [("name", "Old <b>", "New"), ("is_active", "true", "null")]
    assert response.context["facts"] == [("nodes", "3")]
    text = said(response)
    assert "<td>Old &lt;b&gt;</td><td>New</td>" in text
    for each in ("bea", "workflowManager", "nf_abc", "r-9", "192.0.2.7", "workflow.changed"):
        assert each in text


def test_what_came_from_outside_never_becomes_markup(console: Client) -> None:
    evil = "</td><script>alert(1)</script>"
    by = Actor(None, evil, request_id=evil, address=evil[:45], key_prefix=evil[:20])
    entry = noted(by, object_name=evil, changes={evil: [evil, {evil: evil}], "fact": evil})

    for address in (LIST, page(entry)):
        assert "<script>alert" not in said(console.get(address))


def test_a_trigger_and_its_entries_lead_to_each_other(console: Client, signed_in: Callable[..., Client]) -> None:
    trigger = TriggerFactory()
    entry = noted(action=Action.TRIGGER_CANCELED, object_id=trigger.pk, object_name="one")
    at_trigger = reverse("admin:triggers_trigger_change", args=[trigger.pk])

    assert f"{LIST}?object_id={trigger.pk}" in said(console.get(at_trigger))
    assert at_trigger in said(console.get(page(entry)))
    assert LIST not in said(signed_in(Role.TRIGGER_OPERATOR).get(at_trigger))


def test_what_an_operator_does_in_the_admin_has_an_entry(signed_in: Callable[..., Client]) -> None:
    client = signed_in(Role.TRIGGER_OPERATOR, username="ann")
    one, two, failed = TriggerFactory(), TriggerFactory(), failed_trigger()
    several = {"_selected_action": [str(two.pk), str(failed.pk)], "confirmed": "yes"}

    client.get(reverse("admin:triggers_trigger_cancel", args=[one.pk]))
    assert AuditEntry.objects.count() == 0
    client.post(reverse("admin:triggers_trigger_cancel", args=[one.pk]))
    client.post(reverse("admin:triggers_trigger_cancel", args=[one.pk]))
    client.post("/admin/triggers/trigger/", {"action": "cancel_selected", **several})
    client.post("/admin/triggers/trigger/", {"action": "redrive_selected", **several})

    entries = AuditEntry.objects.order_by("pk").values_list("actor", "role", "via", "action", "object_id", "address")
    whoever = ("ann", "triggerOperator", "admin")
    assert list(entries) == [
        (*whoever, "trigger.canceled", one.pk, "127.0.0.1"),
        (*whoever, "trigger.canceled", two.pk, "127.0.0.1"),
        (*whoever, "trigger.redriven", failed.pk, "127.0.0.1"),
    ]
    assert all(AuditEntry.objects.values_list("request_id", flat=True))


@pytest.mark.parametrize("name", ["actor", "object_id", "request_id", "action", "q"])
def test_no_text_in_the_address_is_an_error_of_ours(console: Client, name: str) -> None:
    for text in ("%00", "'", "%25", "%F0%9F%9A%80", "x" * 300):
        assert console.get(f"{LIST}?{name}={text}").status_code in (200, 302, 400)
