"""`/api/v1/triggers/` as API.md has it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.roles import Role
from execution.models import Step
from execution.runner import advance_lane
from tests.conftest import access_token
from tests.factories import ANN, DELAY, EMAIL, SMS, TriggerFactory, UserFactory, WorkflowFactory, definition
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/triggers/"
LATER = f"{timezone.now().year + 1}-03-05T09:00:00Z"


def body(workflow: str, key: str = "order-17", **more: Any) -> dict[str, Any]:
    return {"workflow": workflow, "idempotency_key": key, "recipient": ANN, "context": {"order": {"id": 17}}, **more}


def codes(answer: Any) -> list[tuple[str | None, str]]:
    return [(error["attr"], error["code"]) for error in answer.json()["errors"]]


def test_an_accepted_trigger_is_in_the_database_and_answers_as_the_contract_has_it(api: APIClient) -> None:
    """Invariant 1: what was answered with a 2xx stands, whatever happens to brokers and caches."""
    workflow = WorkflowFactory(key="order-shipped", priority=1)

    answer = api.post(URL, body("order-shipped"))

    assert answer.status_code == 202
    trigger = Trigger.objects.get()
    shown = answer.json()
    assert set(shown) >= {
        "id", "workflow", "workflow_version", "idempotency_key", "status", "current_node_id", "last_step_status",
        "attempts", "available_at", "expires_at", "priority", "recipient", "context", "error", "failed_nodes",
        "created_at", "updated_at", "completed_at",
    }  # fmt: skip
    assert (shown["id"], shown["workflow"], shown["workflow_version"]) == (str(trigger.pk), str(workflow.pk), 1)
    assert (shown["status"], shown["current_node_id"], shown["priority"]) == ("enqueued", "mail", "high")
    assert (shown["recipient"], shown["context"]) == (ANN, {"order": {"id": 17}})
    assert api.get(f"{URL}{trigger.pk}/").json() == shown


def test_a_repeated_request_answers_with_the_trigger_that_stands(api: APIClient) -> None:
    workflow = WorkflowFactory()
    first = api.post(URL, body(workflow.key))

    again = api.post(URL, body(str(workflow.pk)))
    other = api.post(URL, body(workflow.key, context={"order": {"id": 18}}))

    assert (again.status_code, again["Idempotent-Replayed"]) == (200, "true")
    assert "Idempotent-Payload-Differs" not in again
    assert (other.status_code, other["Idempotent-Payload-Differs"]) == (200, "true")
    assert first.json() == again.json() == other.json()
    assert Trigger.objects.count() == 1


def test_a_replay_is_answered_also_by_an_inactive_workflow(api: APIClient) -> None:
    workflow = WorkflowFactory()
    first = api.post(URL, body(workflow.key)).json()
    api.post(f"/api/v1/workflows/{workflow.pk}/deactivate/")

    assert api.post(URL, body(workflow.key)).json() == first
    assert codes(api.post(URL, body(workflow.key, "other"))) == [(None, "workflow_inactive")]


def test_one_hundred_twins_make_one_trigger() -> None:
    """Invariant 2: one trigger per workflow and idempotency key, however many requests race."""
    workflow = WorkflowFactory()
    token = access_token(UserFactory(role=Role.TRIGGER_OPERATOR))

    def post(_: int) -> tuple[int, str]:
        try:
            twin = APIClient()
            twin.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
            answer = twin.post(URL, body(workflow.key))
            return answer.status_code, answer.json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(100)))

    assert sorted(status for status, _ in answers) == [200] * 99 + [202]
    assert {trigger_id for _, trigger_id in answers} == {str(Trigger.objects.get().pk)}


def test_the_idempotency_key_may_come_as_a_header(api: APIClient) -> None:
    workflow = WorkflowFactory()
    wanted = body(workflow.key)
    del wanted["idempotency_key"]

    accepted = api.post(URL, wanted, headers={"Idempotency-Key": "from-header"})

    assert (accepted.status_code, accepted.json()["idempotency_key"]) == (202, "from-header")
    both = api.post(URL, body(workflow.key, "from-body"), headers={"Idempotency-Key": "from-header"})
    assert codes(both) == [("idempotency_key", "contradiction")]
    assert codes(api.post(URL, wanted)) == [("idempotency_key", "required")]


@pytest.mark.parametrize("header", ["", "  ", "\t"])
def test_an_empty_header_is_no_key_and_not_the_bodys_either(api: APIClient, header: str) -> None:
    """granian leaves nothing of a value that is not ASCII."""
    refused = api.post(URL, body(WorkflowFactory().key, "from-body"), headers={"Idempotency-Key": header})

    assert codes(refused) == [("idempotency_key", "blank")]


def test_a_scheduled_trigger_waits_for_its_time(api: APIClient) -> None:
    workflow = WorkflowFactory()
    in_an_hour = timezone.now() + timedelta(hours=1)

    answer = api.post(URL, body(workflow.key, scheduled_at=in_an_hour.isoformat())).json()

    assert answer["available_at"] == answer["scheduled_at"] == in_an_hour.isoformat().replace("+00:00", "Z")
    assert advance_lane("medium") == 0


def test_priority_decides_the_lane(api: APIClient) -> None:
    workflow = WorkflowFactory()
    api.post(URL, body(workflow.key, priority="critical"))

    assert (advance_lane("medium"), advance_lane("critical")) == (0, 1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"workflow": "nowhere"}, (404, None, "unknown_workflow")),
        ({"workflow": "01900000-0000-7000-8000-000000000000"}, (404, None, "unknown_workflow")),
        ({"workflow": None}, (400, "workflow", "null")),
        ({"workflow": {}}, (400, "workflow", "invalid")),
        ({"idempotency_key": ""}, (400, "idempotency_key", "blank")),
        ({"idempotency_key": "x" * 256}, (400, "idempotency_key", "max_length")),
        ({"idempotency_key": ["a"]}, (400, "idempotency_key", "invalid")),
        ({"recipient": "Ann"}, (400, "recipient", "invalid")),
        ({"recipient": None}, (400, "recipient", "null")),
        ({"recipient": {"note": "x" * 33_000}}, (400, "recipient", "too_large")),
        ({"context": []}, (400, "context", "invalid")),
        ({"context": {"text": "x" * 263_000}}, (413, None, "context_too_large")),
        ({"priority": "urgent"}, (400, "priority", "invalid_choice")),
        ({"scheduled_at": "tomorrow"}, (400, "scheduled_at", "invalid")),
        ({"scheduled_at": "2026-03-05T09:00:00"}, (400, "scheduled_at", "no_offset")),
        ({"scheduled_at": "2026-03-05"}, (400, "scheduled_at", "invalid")),
        ({"scheduled_at": 17}, (400, "scheduled_at", "invalid")),
        ({"scheduled_at": "9999-12-31T23:59:59-14:00"}, (400, "scheduled_at", "overflow")),
        ({"scheduled_at": "2999-01-01T00:00:00Z"}, (400, "scheduled_at", "too_far")),
        ({"expires_at": "tomorrow"}, (400, "expires_at", "invalid")),
        ({"expires_at": "2026-03-05T09:00:00"}, (400, "expires_at", "no_offset")),
        ({"expires_at": "2999-01-01T00:00:00Z"}, (400, "expires_at", "too_far")),
        ({"ttl_s": 0}, (400, "ttl_s", "min_value")),
        ({"ttl_s": -1}, (400, "ttl_s", "min_value")),
        ({"ttl_s": 316_224_001}, (400, "ttl_s", "max_value")),
        ({"ttl_s": 10**400}, (400, "ttl_s", "max_value")),
        ({"ttl_s": 0.5}, (400, "ttl_s", "invalid")),
        ({"ttl_s": "300"}, (400, "ttl_s", "invalid")),
        ({"ttl_s": True}, (400, "ttl_s", "invalid")),
        ({"ttl_s": 300, "expires_at": "2026-03-05T09:00:00Z"}, (400, "ttl_s", "contradiction")),
        (
            {"scheduled_at": "2026-03-05T09:00:00Z", "expires_at": "2026-03-05T10:00:00+01:00"},
            (400, "expires_at", "not_after_schedule"),
        ),
        ({"failed_nodes": []}, (400, "failed_nodes", "unknown_field")),
        ({"status": "completed"}, (400, "status", "unknown_field")),
    ],
)
def test_bad_bodies_are_refused_with_the_reason(
    api: APIClient, change: dict[str, Any], expected: tuple[int, str | None, str]
) -> None:
    workflow = WorkflowFactory()

    answer = api.post(URL, {**body(workflow.key), **change})

    assert (answer.status_code, *codes(answer)[0]) == expected
    assert len(codes(answer)) == 1
    assert Trigger.objects.count() == 0


@pytest.mark.parametrize("moment", ["2026-03-05T09:00:00Z", "2026-03-05T10:00:00+01:00", "2026-03-05t09:00:00z"])
def test_times_are_taken_with_any_offset_and_answered_in_utc(api: APIClient, moment: str) -> None:
    answer = api.post(URL, body(WorkflowFactory().key, scheduled_at=moment))

    assert answer.json()["scheduled_at"] == "2026-03-05T09:00:00Z"


def test_a_trigger_says_until_when_it_is_worth_sending(api: APIClient) -> None:
    key = WorkflowFactory().key

    plain = api.post(URL, body(key, "plain")).json()
    at = api.post(URL, body(key, "at", expires_at="2026-03-05T10:00:00+01:00")).json()
    within = api.post(URL, body(key, "within", ttl_s=300)).json()
    later = api.post(URL, body(key, "later", ttl_s=300, scheduled_at=LATER)).json()
    both_null = api.post(URL, body(key, "null", ttl_s=None, expires_at=None)).json()

    assert (plain["expires_at"], both_null["expires_at"]) == (None, None)
    assert at["expires_at"] == "2026-03-05T09:00:00Z"
    accepted = Trigger.objects.get(pk=within["id"])
    assert accepted.expires_at == accepted.created_at + timedelta(seconds=300)
    assert later["expires_at"] == LATER.replace("09:00:00", "09:05:00")


@pytest.mark.parametrize(
    ("first", "again", "differs"),
    [
        ({"ttl_s": 300}, {"ttl_s": 300}, False),
        ({"ttl_s": 300}, {"ttl_s": 301}, True),
        ({"ttl_s": 300}, {}, True),
        ({}, {"ttl_s": 300}, True),
        ({"expires_at": "2026-03-05T09:00:00Z"}, {"expires_at": "2026-03-05T10:00:00+01:00"}, False),
        ({"expires_at": "2026-03-05T09:00:00Z"}, {"expires_at": "2026-03-05T09:00:01Z"}, True),
        ({"ttl_s": 9, "scheduled_at": LATER}, {"ttl_s": 9, "scheduled_at": LATER}, False),
    ],
)
def test_a_repeated_request_is_compared_by_when_it_expires(
    api: APIClient, first: dict[str, Any], again: dict[str, Any], differs: bool
) -> None:
    """Also long after, when the moment has passed: the answer is the trigger that stands, not a refusal."""
    key = WorkflowFactory().key
    made = api.post(URL, body(key, **first))

    answer = api.post(URL, body(key, **again))

    assert (made.status_code, answer.status_code) == (202, 200)
    assert ("Idempotent-Payload-Differs" in answer) is differs
    assert answer.json() == made.json()


def test_what_has_expired_when_it_is_asked_for_is_accepted_and_dropped(api: APIClient) -> None:
    made = api.post(URL, body(WorkflowFactory().key, expires_at="2026-03-05T09:00:00Z")).json()

    advance_lane("medium")

    shown = api.get(f"{URL}{made['id']}/").json()
    assert (shown["status"], shown["error"]["code"], shown["failed_nodes"]) == ("failed", "expired", [])


def test_lists_filter_and_page(api: APIClient) -> None:
    workflow = WorkflowFactory(key="mine")
    triggers = [TriggerFactory(workflow=workflow) for _ in range(3)]
    other = TriggerFactory(created_at=timezone.now() - timedelta(days=2))
    api.post(f"{URL}{triggers[0].pk}/cancel/")

    def ids(query: str) -> list[str]:
        return [trigger["id"] for trigger in api.get(f"{URL}?{query}").json()["results"]]

    newest_first = [str(trigger.pk) for trigger in reversed(triggers)]
    assert ids("workflow=mine") == ids(f"workflow={workflow.pk}") == newest_first
    assert ids("status=canceled") == newest_first[2:]
    assert ids(f"idempotency_key={triggers[1].idempotency_key}") == newest_first[1:2]
    a_day_ago = (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ids(f"created_before={a_day_ago}") == [str(other.pk)]
    assert ids(f"created_after={a_day_ago}") == newest_first
    first = api.get(f"{URL}?page_size=3").json()
    second = api.get(first["next"]).json()
    assert (len(first["results"]), len(second["results"]), second["next"]) == (3, 1, None)


@pytest.mark.parametrize(
    "query",
    ["status=done", "workflow=%00", "created_after=yesterday", "colour=red", "cursor=%00", "cursor=cD1ub3Bl",
     "idempotency_key=%00"],
)  # fmt: skip
def test_bad_queries_are_refused(api: APIClient, query: str) -> None:
    assert api.get(f"{URL}?{query}").status_code in (400, 404)


def test_the_list_takes_two_queries_however_long(api: APIClient, django_assert_num_queries: Any) -> None:
    TriggerFactory()
    with django_assert_num_queries(2):  # the user, the page
        api.get(URL)
    TriggerFactory.create_batch(3)
    with django_assert_num_queries(2):
        assert len(api.get(URL).json()["results"]) == 4


def test_cancel_says_what_was_already_sent(api: APIClient) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, DELAY, SMS)))
    advance_lane("medium")

    answer = api.post(f"{URL}{trigger.pk}/cancel/")

    assert answer.status_code == 200
    assert answer.json()["status"] == "canceled"
    assert [step["node_id"] for step in answer.json()["sent"]] == ["mail"]
    assert answer.json()["in_flight"] == []
    assert codes(api.post(f"{URL}{trigger.pk}/cancel/")) == [(None, "already_finished")]
    Trigger.objects.update(available_at=timezone.now())
    assert advance_lane("medium") == 0
    assert not Step.objects.filter(node_id="text").exists()
    assert Step.objects.get(node_id="wait").status == "skipped"


def test_redrive_goes_on_from_the_node_that_failed(api: APIClient) -> None:
    trigger = TriggerFactory(
        workflow=WorkflowFactory(definition=definition(EMAIL, SMS)), recipient={**ANN, "phone": "no number"}
    )
    advance_lane("medium")
    assert api.get(f"{URL}{trigger.pk}/").json()["error"]["node_id"] == "text"

    Trigger.objects.update(recipient=ANN)
    answer = api.post(f"{URL}{trigger.pk}/redrive/")

    assert (answer.status_code, answer.json()["status"], answer.json()["error"]) == (200, "enqueued", None)
    advance_lane("medium")
    steps = api.get(f"{URL}{trigger.pk}/steps/").json()["results"]
    assert [(s["node_id"], s["attempt"], s["status"]) for s in steps] == [
        ("mail", 1, "succeeded"),
        ("text", 1, "failed"),
        ("text", 2, "succeeded"),
    ]
    assert codes(api.post(f"{URL}{trigger.pk}/redrive/")) == [(None, "not_failed")]


def test_redrive_by_filter(api: APIClient) -> None:
    failing = [TriggerFactory(recipient={"email": "nobody"}) for _ in range(3)]
    advance_lane("medium")

    assert codes(api.post(f"{URL}redrive/", {})) == [("non_field_errors", "required")]
    assert codes(api.post(f"{URL}redrive/", {"colour": "red"})) == [("colour", "unknown_field")]
    answer = api.post(f"{URL}redrive/", {"workflow": failing[0].workflow.key})
    assert answer.json() == {"redriven": 1, "remaining": 0, "last_id": str(failing[0].pk)}
    answer = api.post(f"{URL}redrive/", {"ids": [str(trigger.pk) for trigger in failing]})
    assert answer.json() == {"redriven": 2, "remaining": 0, "last_id": str(failing[2].pk)}
    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.ENQUEUED}


def test_steps_are_shown_as_the_contract_has_it(api: APIClient) -> None:
    trigger = TriggerFactory(context={})
    advance_lane("medium")

    (step,) = api.get(f"{URL}{trigger.pk}/steps/").json()["results"]

    assert set(step) == {
        "id", "trigger", "node_id", "node_type", "attempt", "status", "provider", "message_id", "output", "error",
        "started_at", "finished_at", "duration_ms", "explanation",
    }  # fmt: skip
    assert (step["trigger"], step["provider"], step["error"]) == (str(trigger.pk), "outbox", None)
    assert step["output"]["missing_variables"] == ["order.id"]
    assert step["output"]["message_id"] == step["message_id"] == f"<{trigger.pk}.mail@notifyflow.example>"
    listed = api.get(f"/api/v1/steps/?workflow={trigger.workflow.key}&status=succeeded&node_type=email").json()
    assert listed["results"] == [step]
    assert api.get("/api/v1/steps/?status=failed").json()["results"] == []
    assert api.get(f"/api/v1/steps/{step['id']}/").json() == step


@pytest.mark.parametrize("call", ["", "cancel/", "redrive/", "steps/"])
def test_unknown_triggers_are_not_found(api: APIClient, call: str) -> None:
    url = f"{URL}01900000-0000-7000-8000-000000000000/{call}"
    answer = api.get(url) if call in ("", "steps/") else api.post(url)

    assert (answer.status_code, codes(answer)) == (404, [(None, "not_found")])
