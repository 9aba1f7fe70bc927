"""Who did what to workflows, through the API: one entry for each deed, none for what was refused or changed nothing."""

from typing import Any

import pytest
from django.db import DataError, transaction
from django.test import Client

from accounts.audit import SYSTEM, Actor
from accounts.models import AuditEntry, User
from accounts.roles import Role
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.integration.api.answers import call, signed_in, stranger
from workflows.changes import MOST_NAMED, definition_changes
from workflows.models import Workflow
from workflows.priorities import Priority
from workflows.services import WorkflowDraft, create_workflow, set_active

pytestmark = pytest.mark.django_db

ONE = "workflows/known/"
Write = tuple[str, str, Any]
BODY: dict[str, Any] = {"name": "A workflow", **definition(EMAIL)}


@pytest.fixture
def ann() -> User:
    """Store a manager."""
    return UserFactory(username="ann", role=Role.WORKFLOW_MANAGER)


@pytest.fixture
def manager(ann: User) -> Client:
    """Return her client."""
    return signed_in(ann)


def entries() -> list[AuditEntry]:
    """Return what is told of workflows, in order."""
    return list(AuditEntry.objects.filter(object_type="workflow").order_by("pk"))


@pytest.mark.parametrize(
    ("write", "action"),
    [
        (("POST", "workflows/", {"key": "new", **BODY}), "workflow.created"),
        (("PUT", ONE, {**BODY, "name": "Renamed"}), "workflow.changed"),
        (("PATCH", ONE, {"name": "Renamed"}), "workflow.changed"),
        (("POST", f"{ONE}activate/", None), "workflow.activated"),
        (("POST", "workflows/running/deactivate/", None), "workflow.deactivated"),
        (("DELETE", ONE, None), "workflow.deleted"),
    ],
)
def test_each_deed_is_written_down_once(manager: Client, ann: User, write: Write, action: str) -> None:
    WorkflowFactory(key="known", is_active=False)
    WorkflowFactory(key="running")

    answer = call(manager, *write, headers={"X-Request-ID": "call-17"})

    assert answer.status_code < 300
    (entry,) = entries()
    assert (entry.actor_id, entry.actor, entry.role, entry.via) == (ann.pk, "ann", "workflowManager", "api")
    assert (entry.action, entry.address) == (action, "127.0.0.1")
    assert entry.request_id == answer.headers["X-Request-ID"] == "call-17"
    key = {"workflows/": "new", "workflows/running/deactivate/": "running"}.get(write[1], "known")
    assert (entry.object_name, entry.object_id) == (key, Workflow.objects.get(key=key).pk)


def test_an_entry_tells_what_changed_and_not_the_whole_definition(manager: Client) -> None:
    call(manager, "POST", "workflows/", {"key": "known", **BODY, **definition(EMAIL, DELAY)})
    call(manager, "PATCH", ONE, {"name": "Renamed", "priority": "high"})
    changed = definition({**EMAIL, "subject": "Secret words"}, SMS, strict_variables=True)
    call(manager, "PATCH", ONE, changed)
    call(manager, "POST", f"{ONE}activate/")
    call(manager, "DELETE", ONE)

    assert [entry.changes for entry in entries()] == [
        {
            "name": [None, "A workflow"],
            "priority": [None, "medium"],
            "is_active": [None, False],
            "version": [None, 1],
            "entry_node_id": [None, "mail"],
            "strict_variables": [None, False],
            "nodes": {"added": ["mail", "wait"]},
            "edges": {"added": ["mail->wait"]},
        },
        {"name": ["A workflow", "Renamed"], "priority": ["medium", "high"]},
        {
            "version": [1, 2],
            "strict_variables": [False, True],
            "nodes": {"added": ["text"], "removed": ["wait"], "changed": ["mail"]},
            "edges": {"added": ["mail->text"], "removed": ["mail->wait"]},
        },
        {"is_active": [False, True]},
        {"is_active": [True, False]},
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", ONE, BODY),
        ("PATCH", ONE, {}),
        ("PATCH", ONE, {"name": "A workflow", "strict_variables": False}),
        ("POST", f"{ONE}activate/", None),
        ("POST", "workflows/idle/deactivate/", None),
        ("POST", "workflows/validate/", BODY),
        ("GET", ONE, None),
    ],
)
def test_what_changes_nothing_leaves_no_entry(manager: Client, method: str, path: str, body: Any) -> None:
    WorkflowFactory(key="known")
    WorkflowFactory(key="idle", is_active=False)
    before = list(Workflow.objects.order_by("pk").values())

    assert call(manager, method, path, body).status_code == 200
    assert entries() == []
    assert list(Workflow.objects.order_by("pk").values()) == before


@pytest.mark.parametrize(
    ("write", "headers", "status"),
    [
        (("POST", "workflows/", {**BODY, "entry_node_id": "x"}), {}, 400),
        (("POST", "workflows/", {**BODY, "key": "known"}), {}, 400),
        (("PUT", ONE, {**BODY, "nodes": []}), {}, 400),
        (("PATCH", ONE, {"name": ""}), {}, 400),
        (("PATCH", ONE, {"name": "Mine"}), {"If-Match": "x"}, 400),
        (("POST", "workflows/broken/activate/", None), {}, 400),
        (("DELETE", ONE, None), {}, 409),
        *(
            (write, {"If-Match": '"old"'}, 412)
            for write in [
                ("PUT", ONE, {**BODY, "name": "Mine"}),
                ("PATCH", ONE, {"name": "Mine"}),
                ("DELETE", ONE, None),
                ("POST", f"{ONE}activate/", None),
                ("POST", f"{ONE}deactivate/", None),
            ]
        ),
        (("PATCH", "workflows/nowhere/", {"name": "Mine"}), {}, 404),
    ],
)
def test_what_is_refused_leaves_no_entry(manager: Client, write: Write, headers: Any, status: int) -> None:
    TriggerFactory(workflow=WorkflowFactory(key="known"))
    WorkflowFactory(key="broken", is_active=False, definition=definition({"id": "fax", "type": "fax"}))

    assert call(manager, *write, headers=headers).status_code == status
    assert entries() == []


def test_who_may_not_leaves_no_entry() -> None:
    WorkflowFactory(key="known")
    operator = signed_in(UserFactory(role=Role.TRIGGER_OPERATOR))

    for client, status in ((operator, 403), (stranger(), 401)):
        for method, path in (
            ("POST", "workflows/"),
            ("PUT", ONE),
            ("PATCH", ONE),
            ("DELETE", ONE),
            ("POST", f"{ONE}deactivate/"),
        ):
            assert call(client, method, path, {**BODY, "name": "Mine"}).status_code == status
    assert entries() == []


def test_a_deed_whose_entry_can_not_be_written_does_not_stand() -> None:
    workflow = WorkflowFactory(is_active=False)
    nobody = Actor(user_id=None, name="x" * 151)
    draft = WorkflowDraft(name="New", priority=Priority.LOW, definition=definition(EMAIL))

    with pytest.raises(DataError), transaction.atomic():
        create_workflow(draft, by=nobody)
    with pytest.raises(DataError), transaction.atomic():
        set_active(workflow.pk, is_active=True, by=nobody)

    assert list(Workflow.objects.values_list("pk", "is_active")) == [(workflow.pk, False)]


def test_a_command_is_told_as_the_system() -> None:
    draft = WorkflowDraft(name="New", priority=Priority.LOW, definition=definition(EMAIL))

    set_active(create_workflow(draft).pk, is_active=True)

    assert [(entry.actor, entry.actor_id, entry.via) for entry in entries()] == [(SYSTEM.name, None, "command")] * 2


def test_a_large_change_is_counted_rather_than_spelled_out() -> None:
    many = definition(*({**EMAIL, "id": f"n{number}"} for number in range(500)), strict_variables=False)
    one = definition(EMAIL, strict_variables=False)

    told = definition_changes(one, many)

    assert len(told["nodes"]["added"]) == len(told["edges"]["added"]) == MOST_NAMED
    assert (told["nodes"]["removed"], told["nodes"]["more"], told["edges"]["more"]) == (["mail"], 450, 449)


def test_another_order_is_a_change_that_is_told() -> None:
    """Ties run in the order of the definition, so that it is a version of its own."""
    there = definition(EMAIL, SMS, DELAY, edges=[("mail", "text"), ("mail", "wait")], strict_variables=False)
    back = {**there, "nodes": there["nodes"][::-1]}

    assert definition_changes(there, back) == {"nodes": {"reordered": True}}
    assert definition_changes(there, there) == {}
