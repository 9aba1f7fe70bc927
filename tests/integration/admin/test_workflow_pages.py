"""Managers build workflows in the admin: through the services, with every fault said at its place, each deed noted."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from accounts.models import AuditEntry
from accounts.roles import Role
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.admin.conftest import said, told
from workflows.admin_forms import WorkflowForm
from workflows.models import Workflow, WorkflowVersion
from workflows.services import set_active

pytestmark = pytest.mark.django_db

ADD = "/admin/workflows/workflow/add/"


def page(workflow: Workflow, name: str = "change") -> str:
    return reverse(f"admin:workflows_workflow_{name}", args=[workflow.pk])


def body(raw: Any, **fields: Any) -> dict[str, Any]:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return {"name": "Order shipped", "priority": 1, "definition": text, **fields}


def seen(workflow: Workflow) -> str:
    """Return what the form's hidden field holds while the workflow is as it is now."""
    workflow.refresh_from_db()
    return workflow.state_tag


def noted() -> list[tuple[str, str, str]]:
    """Return what the audit trail tells of workflows, in order: action, by which way, the workflow's key."""
    entries = AuditEntry.objects.filter(object_type="workflow").order_by("pk")
    return list(entries.values_list("action", "via", "object_name"))


def faults(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].form.errors)


def break_version(workflow: Workflow) -> None:
    """Store what a channel leaves behind that was taken out."""
    WorkflowVersion.objects.filter(workflow=workflow).update(definition=definition({"id": "fax", "type": "fax"}))


# --- building ---


def test_a_manager_makes_a_workflow_with_its_first_version(console: Client) -> None:
    response = console.post(ADD, body(definition(EMAIL, SMS)), follow=True)

    workflow = Workflow.objects.get()
    assert (workflow.key, workflow.name, workflow.priority) == ("order-shipped", "Order shipped", 1)
    assert (workflow.is_active, workflow.version) == (False, 1)
    assert workflow.versions.get().definition == definition(EMAIL, SMS, strict_variables=False)
    assert "was added successfully" in told(response)[0]
    assert LogEntry.objects.get().object_id == str(workflow.pk)


def test_a_new_workflow_begins_with_a_definition_that_is_valid(console: Client) -> None:
    first = console.get(ADD).context["adminform"].form.initial["definition"]

    console.post(ADD, body(first))

    assert Workflow.objects.count() == 1


def test_every_fault_of_a_definition_is_said_at_its_path(console: Client) -> None:
    raw = definition(
        {"id": "mail", "type": "email", "subject": "{{ x", "body": "Hi"}, {"id": "wait", "type": "delay"}, edges=[]
    )

    response = console.post(ADD, body(raw, key="Not A Key"))

    found = faults(response)
    assert [fault.split(":")[0] for fault in found["definition"]] == ["nodes.0.subject", "nodes.1", "nodes.1.id"]
    assert found["key"] == [
        "A key is made of a-z, 0-9, - and _, starts and ends with a letter or digit, and is not an id."
    ]
    assert Workflow.objects.count() == 0
    assert all(escape(fault) in said(response) for fault in found["definition"])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"nodes": [}', "Line 1, column 12: Expecting value. This is not JSON."),
        ('{"nodes": NaN}', "NaN is no JSON number."),
        ('{"nodes": 1e999}', "1e999 is too large a number."),
        ('{"entry_node_id": "a\\u0000"}', "Text can't hold the character NUL (\\u0000)."),
        ('{"a\\ud800": 1}', "Text can't hold half of a surrogate pair (\\ud800 to \\udfff)."),
        ("[" * 100_000, "This is nested too deep."),
        ("[1]", "This must be a JSON object with entry_node_id, nodes, edges, strict_variables, retry."),
    ],
)
def test_what_is_no_storable_json_is_refused_in_words(console: Client, text: str, fault: str) -> None:
    assert faults(console.post(ADD, body(text)))["definition"] == [fault]


def test_a_key_that_a_deleted_workflow_has_is_taken(console: Client) -> None:
    WorkflowFactory(key="order", is_active=False, deleted_at="2026-01-01T00:00:00Z")

    response = console.post(ADD, body(definition(EMAIL), key="order"))

    assert faults(response)["key"] == ["This key is taken, perhaps by a deleted workflow."]


def test_a_changed_definition_makes_a_version_and_an_unchanged_one_does_not(console: Client) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))

    console.post(page(workflow), body(definition(EMAIL), name="Renamed", based_on=seen(workflow)))
    workflow.refresh_from_db()
    assert (workflow.name, workflow.version, workflow.key) == ("Renamed", 1, workflow.key)

    console.post(page(workflow), body(definition(EMAIL, SMS), based_on=seen(workflow)))
    workflow.refresh_from_db()
    assert (workflow.version, workflow.is_active) == (2, True)
    assert workflow.versions.get(number=1).definition == definition(EMAIL)


def save_in_between(second: Client, workflow: Workflow, what: str) -> None:
    """Change the workflow as somebody else, while the first one writes."""
    if what == "definition":
        second.post(
            page(workflow), body(definition(EMAIL, SMS), name="A workflow", priority=2, based_on=seen(workflow))
        )
    elif what == "name":
        second.post(page(workflow), body(definition(EMAIL), name="Theirs", priority=2, based_on=seen(workflow)))
    else:
        second.post(page(workflow, "deactivate"))


@pytest.mark.parametrize("what", ["definition", "name", "state"])
def test_a_change_does_not_overwrite_what_somebody_else_wrote_meanwhile(
    signed_in: Callable[..., Client], what: str
) -> None:
    first, second = signed_in(Role.WORKFLOW_MANAGER), signed_in(Role.WORKFLOW_MANAGER)
    workflow = WorkflowFactory(definition=definition(EMAIL))
    form = first.get(page(workflow)).context["adminform"].form
    assert f'value="{seen(workflow)}"' in str(form["based_on"])
    save_in_between(second, workflow, what)
    before, entries = Workflow.objects.values().get(), noted()

    typed = body(definition(EMAIL, DELAY), name="Mine", based_on=form["based_on"].value())
    response = first.post(page(workflow), typed)

    assert response.status_code == 200
    assert (Workflow.objects.values().get(), noted()) == (before, entries)
    (fault,) = faults(response)["__all__"]
    assert f"it is at version {before['version']} now" in fault
    assert escape(fault) in said(response)
    shown = response.context["adminform"].form
    assert {name: shown[name].value() for name in typed} == {**typed, "priority": str(typed["priority"])}
    assert escape(typed["definition"]) in said(response)
    # Sent once more as it stands, it is refused once more.
    assert "__all__" in faults(first.post(page(workflow), typed))


@pytest.mark.django_db(transaction=True)
def test_a_change_between_the_form_and_the_lock_is_noticed_too(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))
    clean = WorkflowForm.clean_based_on

    def deactivate() -> None:
        try:
            set_active(workflow.pk, is_active=False)
        finally:
            connection.close()

    def and_then_somebody_saves(self: WorkflowForm) -> str:
        monkeypatch.setattr(WorkflowForm, "clean_based_on", clean)
        based_on = clean(self)
        # In a transaction of its own: this one is rolled back.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(deactivate).result()
        return based_on

    monkeypatch.setattr(WorkflowForm, "clean_based_on", and_then_somebody_saves)
    typed = body(definition(EMAIL, DELAY), name="Mine", based_on=seen(workflow))

    response = console.post(page(workflow), typed)

    assert "Somebody else changed this workflow" in faults(response)["__all__"][0]
    assert response.context["adminform"].form["definition"].value() == typed["definition"]
    workflow.refresh_from_db()
    assert (workflow.name, workflow.version, workflow.is_active) == ("A workflow", 1, False)


@pytest.mark.parametrize("based_on", ["", "1", "x" * 300, None])
def test_a_form_that_does_not_say_what_was_seen_saves_nothing(console: Client, based_on: str | None) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))
    fields = {} if based_on is None else {"based_on": based_on}

    response = console.post(page(workflow), body(definition(EMAIL, DELAY), **fields))

    assert "__all__" in faults(response)
    assert Workflow.objects.get().name == "A workflow"


def test_a_key_taken_between_the_form_and_the_insert_is_noticed_too(
    console: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    WorkflowFactory(key="order")
    monkeypatch.setattr("workflows.admin_forms.WorkflowForm.validate_unique", lambda self: None)

    response = console.post(ADD, body(definition(EMAIL), key="order"), follow=True)

    assert told(response) == ["This key is taken, perhaps by a deleted workflow."]
    assert Workflow.objects.count() == 1


# --- switching on and off ---


def test_activation_asks_first_and_then_lets_the_workflow_take_triggers(console: Client) -> None:
    workflow = WorkflowFactory(is_active=False, name="Welcome")

    asked = console.get(page(workflow, "activate"))
    workflow.refresh_from_db()
    assert (asked.status_code, workflow.is_active) == (200, False)
    assert "It will take triggers from then on." in said(asked)

    response = console.post(page(workflow, "activate"), follow=True)
    workflow.refresh_from_db()
    assert workflow.is_active
    assert told(response) == ["Welcome is active now."]
    assert LogEntry.objects.get().change_message == "Made active."


def test_an_activation_that_is_refused_says_every_fault(console: Client) -> None:
    workflow = WorkflowFactory(is_active=False, name="Old")
    break_version(workflow)

    response = console.post(page(workflow, "activate"), follow=True)

    workflow.refresh_from_db()
    assert not workflow.is_active
    assert told(response)[0].startswith("Old can't be activated: nodes.0.type: Known node types are:")


def test_a_selection_is_switched_one_by_one(console: Client) -> None:
    broken, good = WorkflowFactory(is_active=False, name="Broken"), WorkflowFactory(is_active=False, name="Good")
    break_version(broken)
    selected = [str(broken.pk), str(good.pk)]
    address = reverse("admin:workflows_workflow_changelist")

    response = console.post(address, {"action": "activate_selected", "_selected_action": selected}, follow=True)

    assert [message[:5] for message in told(response)] == ["Broke", "Good "]
    assert list(Workflow.objects.filter(is_active=True)) == [good]

    console.post(address, {"action": "deactivate_selected", "_selected_action": selected})
    assert not Workflow.objects.filter(is_active=True).exists()


def test_the_page_offers_the_switch_that_changes_something(console: Client) -> None:
    workflow = WorkflowFactory(is_active=False)

    def offered() -> list[str]:
        return [action["title"] for action in console.get(page(workflow)).context["actions_detail"]]

    assert offered() == ["Activate this workflow"]
    set_active(workflow.pk, is_active=True)
    assert offered() == ["Deactivate this workflow"]


# --- deleting ---


def test_a_workflow_with_triggers_under_way_is_not_deleted(console: Client) -> None:
    workflow = TriggerFactory().workflow

    response = console.post(page(workflow, "delete"), {"post": "yes"}, follow=True)

    workflow.refresh_from_db()
    assert workflow.deleted_at is None
    assert told(response)[0].startswith("1 trigger(s) of this workflow are under way.")
    assert LogEntry.objects.count() == 0


def test_a_deleted_workflow_leaves_the_list_and_stays_a_row(console: Client) -> None:
    workflow = WorkflowFactory()

    assert "stay readable" in said(console.get(page(workflow, "delete")))
    console.post(page(workflow, "delete"), {"post": "yes"})

    workflow.refresh_from_db()
    assert workflow.deleted_at is not None
    assert list(console.get(reverse("admin:workflows_workflow_changelist")).context["cl"].result_list) == []
    assert console.get(page(workflow)).status_code == 302
    version = reverse("admin:workflows_workflowversion_change", args=[workflow.versions.get().pk])
    assert "(deleted)" in said(console.get(version))


# --- who did what ---


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("add", "workflow.created"),
        ("change", "workflow.changed"),
        ("activate", "workflow.activated"),
        ("deactivate", "workflow.deactivated"),
        ("activate_selected", "workflow.activated"),
        ("deactivate_selected", "workflow.deactivated"),
        ("delete", "workflow.deleted"),
    ],
)
def test_each_deed_is_written_down_once(signed_in: Callable[..., Client], name: str, action: str) -> None:
    manager = signed_in(Role.WORKFLOW_MANAGER, username="ann")
    workflow = WorkflowFactory(key="known", is_active=name.startswith("deactivate"), definition=definition(EMAIL))
    fields: dict[str, dict[str, Any]] = {
        "add": body(definition(EMAIL), key="known-2"),
        "change": body(definition(EMAIL), based_on=seen(workflow)),
        "delete": {"post": "yes"},
    }
    address = ADD if name == "add" else page(workflow, name.removesuffix("_selected"))
    data = fields.get(name, {})
    if name.endswith("_selected"):
        address = reverse("admin:workflows_workflow_changelist")
        data = {"action": name, "_selected_action": [str(workflow.pk)]}

    response = manager.post(address, data, headers={"X-Request-ID": "page-17"})

    assert response.status_code == 302
    (entry,) = AuditEntry.objects.filter(object_type="workflow")
    assert (entry.action, entry.via, entry.actor, entry.role) == (action, "admin", "ann", "workflowManager")
    assert (entry.request_id, entry.address) == ("page-17", "127.0.0.1")
    made = Workflow.objects.get(key="known-2" if name == "add" else "known")
    assert (entry.object_id, entry.object_name) == (made.pk, made.key)
    if name == "change":
        assert entry.changes == {"name": ["A workflow", "Order shipped"], "priority": ["medium", "high"]}


def test_what_changes_nothing_or_is_refused_leaves_no_entry(console: Client, signed_in: Callable[..., Client]) -> None:
    workflow = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL))).workflow
    tag = seen(workflow)
    selection = {"action": "activate_selected", "_selected_action": [str(workflow.pk)]}

    console.post(page(workflow), body(definition(EMAIL), name="A workflow", priority=2, based_on=tag))
    console.post(page(workflow), body("{", based_on=tag))
    console.post(page(workflow), body(definition(EMAIL), based_on="old"))
    console.post(page(workflow, "activate"))
    console.post(reverse("admin:workflows_workflow_changelist"), selection)
    console.post(page(workflow, "delete"), {"post": "yes"})
    console.post(ADD, body(definition(EMAIL), key=workflow.key))
    operator = signed_in(Role.TRIGGER_OPERATOR)
    for name in ("change", "activate", "deactivate", "delete"):
        assert operator.post(page(workflow, name), {"post": "yes"}).status_code == 403

    assert noted() == []
    assert seen(workflow) == tag


# --- looking ---


def test_the_page_draws_the_workflow_and_says_it_in_words(console: Client) -> None:
    text = said(console.get(page(WorkflowFactory(definition=definition(EMAIL, DELAY, SMS)))))

    assert text.count('class="nf-box ') == 3
    assert text.count('class="nf-arrow"') == 2
    assert "waits 1 day" in text
    assert "3 attempts, after 2 seconds" in text


def test_nothing_that_a_definition_says_becomes_markup(console: Client) -> None:
    evil = "</title><script>alert(1)</script>"
    raw = definition({**EMAIL, "subject": evil, "body": evil}, SMS, edges=[("mail", "text", f"'{evil}' == x")])
    workflow = WorkflowFactory(name=evil, definition=raw)

    for address in (
        page(workflow),
        reverse("admin:workflows_workflowversion_change", args=[workflow.versions.get().pk]),
        reverse("admin:workflows_workflow_changelist"),
        page(workflow, "activate"),
        page(workflow, "delete"),
    ):
        assert "<script>alert" not in said(console.get(address))


def test_a_workflow_of_500_nodes_is_shown_as_a_table(console: Client) -> None:
    nodes = [{**EMAIL, "id": f"n{number}"} for number in range(500)]

    text = said(console.get(page(WorkflowFactory(definition=definition(*nodes)))))

    assert "too many for a picture" in text
    assert '<tr id="node-n499">' in text


def test_a_version_shows_its_definition_as_it_was(console: Client) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))
    console.post(page(workflow), body(definition(SMS), based_on=seen(workflow)))
    first = workflow.versions.get(number=1)

    response = console.get(reverse("admin:workflows_workflowversion_change", args=[first.pk]))

    assert json.loads(response.context["json"]) == definition(EMAIL)
    assert [version.number for version in console.get(page(workflow)).context["versions"]] == [2, 1]
