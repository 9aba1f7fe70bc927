"""Lists stay cheap: the same queries for one row and for three, no JSON bodies, no count without a bound."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts import admin_lists
from accounts.admin_lists import first_id_at
from accounts.roles import Role
from execution.models import DeadLetter, Step
from tests.factories import DELAY, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.integration.admin.conftest import failed_trigger, said, step

pytestmark = pytest.mark.django_db

MAKERS: dict[str, Callable[[], Any]] = {
    "workflows_workflow": WorkflowFactory,
    "workflows_workflowversion": WorkflowFactory,
    "triggers_trigger": TriggerFactory,
    "execution_step": failed_trigger,
    "execution_deadletter": failed_trigger,
    "accounts_user": UserFactory,
}
BODIES = ("context", "recipient", "run_state", "definition", "output")


def page_of_list(name: str, query: str = "") -> str:
    return f"{reverse(f'admin:{name}_changelist')}{query}"


def queries_of(client: Client, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in captured]


def shown(client: Client, name: str, query: str = "") -> list[Any]:
    return [row.pk for row in client.get(page_of_list(name, query)).context["cl"].result_list]


@pytest.mark.parametrize("name", MAKERS)
def test_a_list_takes_as_many_queries_for_three_rows_as_for_one(console: Client, name: str) -> None:
    MAKERS[name]()
    console.get(page_of_list(name))
    for_one = len(queries_of(console, page_of_list(name)))
    MAKERS[name]()
    MAKERS[name]()

    for_three = len(queries_of(console, page_of_list(name)))

    assert for_three == for_one


@pytest.mark.parametrize("name", MAKERS)
def test_a_list_leaves_json_bodies_in_the_database(console: Client, name: str) -> None:
    MAKERS[name]()

    queries = queries_of(console, page_of_list(name))

    assert [sql for sql in queries for body in BODIES if f'"{body}"' in sql] == []


@pytest.mark.parametrize("name", MAKERS)
def test_a_list_counts_no_further_than_its_bound(console: Client, name: str) -> None:
    MAKERS[name]()

    counts = [sql for sql in queries_of(console, page_of_list(name, "?_facets=True")) if "COUNT(" in sql]

    assert len(counts) >= 1
    assert [sql for sql in counts if "LIMIT" not in sql] == []


def test_a_long_list_says_that_it_goes_on(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_lists, "MOST_COUNTED", 2)
    for _ in range(3):
        TriggerFactory()

    response = console.get(page_of_list("triggers_trigger"))

    assert response.context["cl"].result_count == 2
    assert "more than 2 triggers" in said(response)


def test_triggers_come_newest_first_and_an_address_does_not_change_that(console: Client) -> None:
    first, second = TriggerFactory(attempts=0), TriggerFactory(attempts=1)

    assert shown(console, "triggers_trigger") == [second.pk, first.pk]
    assert shown(console, "triggers_trigger", "?o=5") == [second.pk, first.pk]


def test_triggers_are_filtered_by_status_priority_and_workflow(console: Client) -> None:
    urgent = TriggerFactory(workflow=WorkflowFactory(key="urgent", priority=0))
    failed = failed_trigger(workflow=WorkflowFactory(key="other"))

    assert shown(console, "triggers_trigger", "?status=failed") == [failed.pk]
    assert shown(console, "triggers_trigger", "?status=nonsense") == []
    assert shown(console, "triggers_trigger", "?priority=critical") == [urgent.pk]
    assert shown(console, "triggers_trigger", "?workflow=urgent") == [urgent.pk]
    assert shown(console, "triggers_trigger", f"?workflow={urgent.workflow_id}") == [urgent.pk]
    assert shown(console, "triggers_trigger", "?workflow=unknown") == []
    assert shown(console, "triggers_trigger", "?workflow=urgent&status=failed") == []


def test_the_workflow_filter_suggests_keys_and_keeps_the_other_filters(console: Client) -> None:
    WorkflowFactory(key="order-shipped")

    changelist = console.get(page_of_list("triggers_trigger", "?status=failed&workflow=other")).context["cl"]

    box = next(iter(changelist.filter_specs[1].choices(changelist)))
    assert (box["name"], box["value"]) == ("workflow", "other")
    assert box["others"] == [("status", "failed")]
    assert "order-shipped" in box["suggestions"]


def test_what_was_made_lately_is_a_range_of_the_primary_key(console: Client) -> None:
    new = TriggerFactory()
    TriggerFactory(id=first_id_at(timezone.now() - timedelta(days=2)))

    assert shown(console, "triggers_trigger", "?created=day") == [new.pk]
    assert shown(console, "triggers_trigger", "?created=nonsense") == []
    assert (
        "created_at" not in queries_of(console, page_of_list("triggers_trigger", "?created=day"))[-1].split("WHERE")[1]
    )


def test_the_first_id_of_a_moment_comes_before_what_is_made_then_and_after_what_was_made_before() -> None:
    before = uuid7()
    later = timezone.now() + timedelta(seconds=1)

    assert before < first_id_at(later)
    assert first_id_at(timezone.now() - timedelta(milliseconds=2)) < uuid7()
    assert first_id_at(later).version == 7


def test_a_trigger_is_found_by_its_id_or_whole_key_along_an_index(console: Client) -> None:
    trigger = TriggerFactory(idempotency_key="order-17-shipped")
    TriggerFactory(idempotency_key="order-17-shipped-too", context={"note": "order-17-shipped"})

    assert shown(console, "triggers_trigger", f"?q={trigger.pk}") == [trigger.pk]
    assert shown(console, "triggers_trigger", "?q=+order-17-shipped+") == [trigger.pk]
    assert shown(console, "triggers_trigger", "?q=order-17") == []
    searching = queries_of(console, page_of_list("triggers_trigger", "?q=order-17"))
    assert [sql for sql in searching if "LIKE" in sql.upper()] == []


def test_a_key_that_is_written_like_an_id_is_found_too(console: Client) -> None:
    key = str(uuid7())
    trigger = TriggerFactory(idempotency_key=key)

    assert shown(console, "triggers_trigger", f"?q={key}") == [trigger.pk]


def test_a_manager_reads_the_log_of_a_trigger_by_its_id(signed_in: Callable[..., Client]) -> None:
    trigger = failed_trigger()
    failed_trigger()
    found = Step.objects.get(trigger=trigger)
    client = signed_in(Role.WORKFLOW_MANAGER)

    assert shown(client, "execution_step", f"?q={trigger.pk}") == [found.pk]
    text = said(client.get(reverse("admin:execution_step_change", args=[found.pk])))
    assert "this is not an email address" in text
    assert reverse("admin:triggers_trigger_change", args=[trigger.pk]) not in text


def test_steps_are_filtered_by_status_type_and_workflow(console: Client) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(key="waits", definition=definition(DELAY)))
    waiting = step(trigger, "wait", "waiting", node_type="delay", provider="")
    failed = Step.objects.get(trigger=failed_trigger())

    assert shown(console, "execution_step", "?status=waiting") == [waiting.pk]
    assert shown(console, "execution_step", "?node_type=delay") == [waiting.pk]
    assert shown(console, "execution_step", "?workflow=waits") == [waiting.pk]
    assert shown(console, "execution_step", "?status=failed&node_type=email") == [failed.pk]
    assert shown(console, "execution_step", "?q=nothing-like-an-id") == []


def test_open_dead_letters_are_grouped_by_what_failed_alike(console: Client) -> None:
    workflow = WorkflowFactory(key="order")
    for _ in range(2):
        failed_trigger(workflow=workflow)
    redriven = failed_trigger()
    DeadLetter.objects.filter(trigger=redriven).update(redriven_at=timezone.now())

    response = console.get(page_of_list("execution_deadletter"))

    assert list(response.context["groups"]) == [
        {"code": "invalid_address", "node_id": "mail", "trigger__workflow__key": "order", "count": 2}
    ]
    assert len(shown(console, "execution_deadletter", "?state=open&code=invalid_address")) == 2
    assert len(shown(console, "execution_deadletter", "?state=redriven")) == 1
    assert shown(console, "execution_deadletter", "?node_id=other") == []
