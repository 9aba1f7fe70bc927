"""Promises of the API that a review found broken once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django import forms
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.api_moments import MomentFormField
from execution import engine, redrive
from execution.engine import NodeEnd, Ready, RunState
from execution.redrive import redrive_trigger
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows import services
from workflows.models import WorkflowVersion
from workflows.services import ActiveTriggersExist

WORKFLOWS = "/api/v1/workflows/"
TRIGGERS = "/api/v1/triggers/"
BODY: dict[str, Any] = {"key": "hello", "name": "Hello", "entry_node_id": "mail", "nodes": [EMAIL]}
OVERFLOWS = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")


def errors_of(answer: Any) -> list[tuple[str | None, str]]:
    return [(error["attr"], error["code"]) for error in answer.json()["errors"]]


def fail(trigger: Trigger, state: RunState | None = None, *, node_id: str = "mail") -> None:
    """Store that a trigger failed, with the state that its run was left in."""
    Trigger.objects.filter(pk=trigger.pk).update(
        status=TriggerStatus.FAILED,
        completed_at=timezone.now(),
        current_node_id=node_id,
        run_state=engine.to_json(state) if state else None,
    )


@pytest.mark.django_db
class TestWorkflows:
    def test_a_body_that_was_read_is_no_new_version(self, api: APIClient) -> None:
        body = api.post(WORKFLOWS, BODY).json()

        answer = api.put(f"{WORKFLOWS}hello/", body)

        assert (answer.status_code, answer.json()["version"]) == (200, 1)
        assert WorkflowVersion.objects.get().definition == definition(EMAIL, strict_variables=False)

    def test_a_stored_definition_without_the_defaults_is_the_same_one(self, api: APIClient) -> None:
        WorkflowFactory(key="hello", definition={"entry_node_id": "mail", "nodes": [EMAIL]})

        answer = api.put(f"{WORKFLOWS}hello/", api.get(f"{WORKFLOWS}hello/").json())

        assert answer.json()["version"] == 1

    def test_validate_says_that_a_key_is_taken_as_post_does_beside_other_faults(self, api: APIClient) -> None:
        WorkflowFactory(key="hello")
        bad = {**BODY, "entry_node_id": "x"}

        told = api.post(f"{WORKFLOWS}validate/", bad).json()
        refused = api.post(WORKFLOWS, bad).json()

        assert told == {"valid": False, "errors": refused["errors"]}
        assert {(e["attr"], e["code"]) for e in told["errors"]} == {
            ("key", "key_taken"),
            ("entry_node_id", "unknown_node"),
        }

    @pytest.mark.parametrize("name", ["key", "name"])
    def test_a_number_is_no_text(self, api: APIClient, name: str) -> None:
        assert errors_of(api.post(WORKFLOWS, {**BODY, name: 17})) == [(name, "invalid")]

    def test_the_list_shows_each_workflow_with_its_own_version(self, api: APIClient) -> None:
        changed, plain = WorkflowFactory(), WorkflowFactory(definition=definition(SMS))
        api.patch(f"{WORKFLOWS}{changed.pk}/", {"nodes": [DELAY], "entry_node_id": "wait"})

        page = api.get(WORKFLOWS).json()["results"]

        assert {row["id"]: row["entry_node_id"] for row in page} == {str(changed.pk): "wait", str(plain.pk): "text"}

    def test_a_deletion_counts_no_further_than_it_needs(self, api: APIClient) -> None:
        workflow = WorkflowFactory()
        TriggerFactory.create_batch(2, workflow=workflow)

        answer = api.delete(f"{WORKFLOWS}{workflow.pk}/")

        assert errors_of(answer) == [(None, "active_triggers_exist")]
        assert answer.json()["errors"][0]["detail"] == "2 trigger(s) of this workflow are under way."
        assert str(ActiveTriggersExist(services.MOST_COUNTED + 1)).startswith("more than 1,000 trigger(s)")


class TestMoments:
    @pytest.mark.parametrize(
        ("text", "code"),
        [*((text, "overflow") for text in OVERFLOWS), ("2026-03-05T09:00:00", "no_offset"), ("yesterday", "invalid")],
    )
    def test_a_query_says_what_is_wrong_with_a_moment(self, text: str, code: str) -> None:
        with pytest.raises(forms.ValidationError) as raised:
            MomentFormField().clean(text)

        assert [error.code for error in raised.value.error_list] == [code]

    def test_a_query_holds_a_moment_in_utc(self) -> None:
        moment = MomentFormField().clean("2999-03-05T10:00:00+01:00")

        assert (moment, moment.utcoffset()) == (datetime(2999, 3, 5, 9, tzinfo=UTC), timedelta())
        assert MomentFormField(required=False).clean("") is None

    @pytest.mark.django_db
    @pytest.mark.parametrize("name", ["created_after", "created_before"])
    @pytest.mark.parametrize(
        ("text", "code"), [*((t, "overflow") for t in OVERFLOWS), ("2026-03-05T09:00:00", "no_offset")]
    )
    def test_lists_and_redrives_refuse_the_same(self, api: APIClient, name: str, text: str, code: str) -> None:
        listed = api.get(TRIGGERS, {name: text})
        redriven = api.post(f"{TRIGGERS}redrive/", {name: text})

        assert (listed.status_code, errors_of(listed)) == (400, [(name, code)])
        assert (redriven.status_code, errors_of(redriven)) == (400, [(name, code)])

    @pytest.mark.django_db
    def test_a_moment_far_ahead_is_no_fault_of_a_filter(self, api: APIClient) -> None:
        trigger = TriggerFactory()
        fail(trigger)
        far = {"created_before": "2999-01-01T00:00:00Z"}

        assert len(api.get(TRIGGERS, far).json()["results"]) == 1
        assert api.post(f"{TRIGGERS}redrive/", far).json()["redriven"] == 1


@pytest.mark.django_db
class TestTriggers:
    @pytest.mark.parametrize("name", ["workflow", "idempotency_key"])
    @pytest.mark.parametrize("value", [17, 1.5, True])
    def test_a_number_is_no_text(self, api: APIClient, name: str, value: object) -> None:
        WorkflowFactory(key="hello")

        answer = api.post(TRIGGERS, {"workflow": "hello", "idempotency_key": "17", name: value})

        assert (answer.status_code, errors_of(answer)) == (400, [(name, "invalid")])

    def test_a_key_is_found_in_every_workflow_and_in_one(self, api: APIClient) -> None:
        twins = [TriggerFactory(idempotency_key="k"), TriggerFactory(idempotency_key="k")]
        TriggerFactory(workflow=twins[0].workflow)

        def ids(**query: str) -> list[str]:
            return [row["id"] for row in api.get(TRIGGERS, query).json()["results"]]

        assert ids(idempotency_key="k") == [str(twins[1].pk), str(twins[0].pk)]
        assert ids(idempotency_key="k", workflow=twins[0].workflow.key) == [str(twins[0].pk)]
        assert ids(workflow="nowhere") == []


@pytest.mark.django_db
class TestRedrive:
    def test_a_branch_that_was_ready_before_the_failed_node_comes_first(self) -> None:
        nodes = [EMAIL, {**SMS, "id": "x"}, {**SMS, "id": "y"}]
        workflow = WorkflowFactory(definition=definition(*nodes, edges=[("mail", "x"), ("mail", "y")]))
        trigger = TriggerFactory(workflow=workflow)
        earlier = timezone.now() - timedelta(hours=1)
        edges = {"mail->x": True, "mail->y": True}
        ended = {"mail": NodeEnd.SUCCEEDED, "x": NodeEnd.FAILED}
        fail(trigger, RunState(ended=ended, edges=edges, ready={"y": Ready(earlier, failures=1)}), node_id="x")

        redrive_trigger(trigger.pk)

        trigger.refresh_from_db()
        assert (trigger.current_node_id, trigger.available_at, trigger.attempts) == ("y", earlier, 1)
        assert set(trigger.run_state["ready"]) == {"x", "y"}

    def test_what_can_not_run_any_more_stays_at_the_node_that_failed(self) -> None:
        gone = {"id": "old", "type": "fax"}
        trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(gone)))
        fail(trigger, RunState(ended={"old": NodeEnd.FAILED}, edges={}, ready={}), node_id="old")

        redriven = redrive_trigger(trigger.pk)

        assert (redriven.current_node_id, redriven.status) == ("old", TriggerStatus.ENQUEUED)

    def test_one_call_after_the_other_reaches_all_also_when_they_fail_again(
        self, api: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redrive, "MOST_AT_ONCE", 2)
        workflow = WorkflowFactory(key="hello")
        triggers = TriggerFactory.create_batch(3, workflow=workflow)
        for trigger in triggers:
            fail(trigger)
        url = f"{TRIGGERS}redrive/"

        first = api.post(url, {"workflow": "hello"}).json()
        for trigger in triggers[:2]:
            fail(trigger)
        second = api.post(url, {"workflow": "hello", "after_id": first["last_id"]}).json()

        assert first == {"redriven": 2, "remaining": 1, "last_id": str(triggers[1].pk)}
        assert second == {"redriven": 1, "remaining": 0, "last_id": str(triggers[2].pk)}
        assert errors_of(api.post(url, {"after_id": first["last_id"]})) == [("non_field_errors", "required")]
