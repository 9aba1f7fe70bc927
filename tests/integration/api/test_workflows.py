"""`/api/v1/workflows/` as API.md has it."""

import copy
from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db

URL = "/api/v1/workflows/"
# The example of API.md, letter for letter.
ORDER_SHIPPED: dict[str, Any] = {
    "key": "order-shipped",
    "name": "Order shipped",
    "priority": "high",
    "entry_node_id": "mail",
    "nodes": [
        {
            "id": "mail",
            "type": "email",
            "to": "{{ recipient.email }}",
            "subject": "Order {{ order.id }}",
            "body": "Hi {{ recipient.name }}",
            "html_body": "<p>...</p>",
        },
        {"id": "wait", "type": "delay", "duration": "PT24H"},
        {
            "id": "text",
            "type": "sms",
            "to": "{{ recipient.phone }}",
            "body": "Picked up yet?",
            "retry": {"max_attempts": 5, "intervals_s": [60, 300, 900, 3600]},
            "on_doubt": "hold",
        },
    ],
    "edges": [{"from": "mail", "to": "wait"}, {"from": "wait", "to": "text", "when": "order.total > 10"}],
}


def errors_of(answer: Any) -> list[tuple[str | None, str]]:
    return [(error["attr"], error["code"]) for error in answer.json()["errors"]]


def test_a_created_workflow_answers_with_what_was_sent_and_what_was_added(api: APIClient) -> None:
    answer = api.post(URL, ORDER_SHIPPED)

    assert answer.status_code == 201
    body = dict(answer.json())
    added = {name: body.pop(name) for name in ("id", "is_active", "version", "created_at", "updated_at")}
    assert body == {**ORDER_SHIPPED, "strict_variables": False}
    assert (added["is_active"], added["version"]) == (False, 1)
    assert added["created_at"].endswith("Z")
    assert api.get(f"{URL}{added['id']}/").json() == api.get(f"{URL}order-shipped/").json() == answer.json()


def test_a_key_is_made_from_the_name_and_stays_unique(api: APIClient) -> None:
    body = {**ORDER_SHIPPED, "name": "Über-Größe & Co"}
    del body["key"]

    assert [api.post(URL, body).json()["key"] for _ in range(3)] == ["uber-groe-co", "uber-groe-co-2", "uber-groe-co-3"]
    assert errors_of(api.post(URL, {**body, "key": "uber-groe-co"})) == [("key", "key_taken")]


def test_all_faults_are_reported_at_once_with_their_paths(api: APIClient) -> None:
    body = copy.deepcopy(ORDER_SHIPPED)
    body |= {"key": "No Good", "priority": "urgent", "colour": "red", "entry_node_id": "start"}
    del body["name"]
    body["nodes"][0]["subject"] = "{% if %}"
    body["nodes"][1]["duration"] = "P1M"
    body["nodes"][2]["too"] = "x"
    body["edges"].append({"from": "text", "to": "nowhere"})
    body["edges"].append({"from": "text", "to": "mail"})

    answer = api.post(URL, body)

    assert answer.status_code == 400
    assert sorted(errors_of(answer)) == [
        ("colour", "unknown_field"),
        ("edges", "cycle"),
        ("edges.2.to", "unknown_node"),
        ("entry_node_id", "unknown_node"),
        ("key", "invalid_key"),
        ("name", "required"),
        ("nodes.0.subject", "liquid_syntax"),
        ("nodes.1.duration", "invalid_delay"),
        ("nodes.2.too", "unknown_field"),
        ("priority", "invalid_choice"),
    ]
    assert Workflow.objects.count() == 0


def test_a_changed_definition_makes_the_next_version_and_nothing_else_does(api: APIClient) -> None:
    workflow_id = api.post(URL, ORDER_SHIPPED).json()["id"]
    url = f"{URL}{workflow_id}/"

    assert api.patch(url, {"name": "Renamed", "priority": "low"}).json()["version"] == 1
    assert api.put(url, ORDER_SHIPPED).json()["version"] == 1
    changed = api.patch(url, {"nodes": ORDER_SHIPPED["nodes"][:2], "edges": ORDER_SHIPPED["edges"][:1]}).json()

    assert (changed["version"], changed["name"], len(changed["nodes"])) == (2, "Order shipped", 2)
    versions = api.get(f"{url}versions/").json()["results"]
    assert [version["version"] for version in versions] == [2, 1]
    assert api.get(f"{url}versions/1/").json()["definition"]["nodes"] == ORDER_SHIPPED["nodes"]
    assert api.get(f"{url}versions/3/").status_code == 404


def test_a_body_that_was_read_can_be_sent_back(api: APIClient) -> None:
    body = api.post(URL, ORDER_SHIPPED).json()

    answer = api.put(f"{URL}{body['id']}/", {**body, "name": "Changed"})

    assert (answer.status_code, answer.json()["name"]) == (200, "Changed")
    assert errors_of(api.patch(f"{URL}{body['id']}/", {"key": "another"})) == [("key", "immutable")]


def test_activation_and_deactivation(api: APIClient) -> None:
    workflow_id = api.post(URL, ORDER_SHIPPED).json()["id"]

    assert api.post(f"{URL}{workflow_id}/activate/").json()["is_active"] is True
    assert api.post(f"{URL}order-shipped/deactivate/").json()["is_active"] is False


def test_activation_is_refused_when_the_stored_definition_can_not_run_any_more(api: APIClient) -> None:
    gone = {"id": "old", "type": "fax"}
    workflow = WorkflowFactory(is_active=False, definition=definition(gone))

    answer = api.post(f"{URL}{workflow.pk}/activate/")

    assert (answer.status_code, errors_of(answer)) == (400, [("nodes.0.type", "unknown_type")])


@pytest.mark.parametrize("status", [TriggerStatus.ENQUEUED, TriggerStatus.PROCESSING])
def test_deletion_is_refused_while_a_trigger_is_under_way(api: APIClient, status: TriggerStatus) -> None:
    trigger = TriggerFactory()
    if status is TriggerStatus.PROCESSING:
        trigger.status, trigger.claim_id, trigger.lease_expires_at = status, trigger.pk, trigger.available_at
        trigger.save()

    answer = api.delete(f"{URL}{trigger.workflow.key}/")

    assert (answer.status_code, errors_of(answer)) == (409, [(None, "active_triggers_exist")])
    assert Workflow.objects.present().count() == 1


def test_a_deleted_workflow_leaves_its_triggers_readable_and_its_key_taken(api: APIClient) -> None:
    trigger = TriggerFactory()
    key = trigger.workflow.key
    api.post(f"/api/v1/triggers/{trigger.pk}/cancel/")

    assert api.delete(f"{URL}{key}/").status_code == 204

    assert api.get(f"{URL}{key}/").status_code == 404
    assert api.get(URL).json()["results"] == []
    assert api.get(f"/api/v1/triggers/{trigger.pk}/").json()["workflow_key"] == key
    assert [t["id"] for t in api.get(f"/api/v1/triggers/?workflow={key}").json()["results"]] == [str(trigger.pk)]
    assert api.get(f"/api/v1/triggers/{trigger.pk}/steps/").status_code == 200
    assert errors_of(api.post(URL, {**ORDER_SHIPPED, "key": key})) == [("key", "key_taken")]
    assert api.delete(f"{URL}{key}/").status_code == 404


def test_validate_says_what_is_wrong_and_stores_nothing(api: APIClient) -> None:
    assert api.post(f"{URL}validate/", ORDER_SHIPPED).json() == {"valid": True, "errors": []}

    bad = api.post(f"{URL}validate/", {**ORDER_SHIPPED, "entry_node_id": "x"})

    assert bad.status_code == 200
    assert bad.json()["valid"] is False
    assert [(e["attr"], e["code"]) for e in bad.json()["errors"]] == [("entry_node_id", "unknown_node")]
    assert Workflow.objects.count() == 0


def test_a_version_can_be_neither_changed_nor_deleted() -> None:
    version = WorkflowFactory().versions.get()
    version.definition = definition(SMS)

    with pytest.raises(TypeError, match="can't be changed"):
        version.save()
    with pytest.raises(TypeError, match="can't be deleted"):
        version.delete()
    assert WorkflowVersion.objects.get().definition == definition(EMAIL)


def test_the_list_takes_two_queries_however_long(api: APIClient, django_assert_num_queries: Any) -> None:
    WorkflowFactory(definition=definition(EMAIL, DELAY))
    with django_assert_num_queries(3):  # the user, the page, its definitions
        api.get(URL)
    WorkflowFactory.create_batch(3)
    with django_assert_num_queries(3):
        page = api.get(URL).json()

    assert len(page["results"]) == 4
    assert set(page) == {"next", "previous", "results"}


def test_a_trigger_keeps_the_version_it_started_on(api: APIClient) -> None:
    """Invariant 8."""
    trigger = TriggerFactory()

    api.patch(f"{URL}{trigger.workflow.key}/", {"nodes": [SMS], "entry_node_id": "text"})

    assert Workflow.objects.get().version == 2
    assert Trigger.objects.get().version.number == 1
