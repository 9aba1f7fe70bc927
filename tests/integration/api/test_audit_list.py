"""Reading the audit trail: what an entry shows, how the list is narrowed, and that nobody writes there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.audit import SYSTEM, Action, Actor, Via, entry_of, record
from accounts.models import AuditEntry, User
from accounts.roles import Role
from tests.factories import UserFactory
from tests.integration.api.answers import call, errors_of
from tests.integration.api.test_audit import noted, told

pytestmark = pytest.mark.django_db


def found(client: Client, query: str = "") -> list[str]:
    """Return the names of the objects of what a list holds, as it comes."""
    answer = call(client, "GET", f"audit/{query}")
    assert answer.status_code == 200
    return [entry["object"]["name"] for entry in answer.json()["results"]]


def test_an_entry_is_shown_with_all_it_holds(admin: Client) -> None:
    user_id, workflow_id = uuid7(), uuid7()
    by = Actor(user_id, "bea", Role.WORKFLOW_MANAGER, Via.API_KEY, "nf_abc", "r-9", "192.0.2.7")
    record(
        by,
        Action.WORKFLOW_CHANGED,
        object_type="workflow",
        object_id=workflow_id,
        object_name="order",
        changes={"name": ["Order", "Orders"]},
    )
    entry = AuditEntry.objects.get()
    shown = {
        "id": str(entry.pk),
        "at": entry.at.isoformat().replace("+00:00", "Z"),
        "actor": {"id": str(user_id), "name": "bea", "role": "workflowManager"},
        "via": "api_key",
        "api_key_prefix": "nf_abc",
        "action": "workflow.changed",
        "object": {"type": "workflow", "id": str(workflow_id), "name": "order"},
        "changes": {"name": ["Order", "Orders"]},
        "request_id": "r-9",
        "address": "192.0.2.7",
    }

    assert call(admin, "GET", "audit/").json() == {"next": None, "previous": None, "results": [shown]}
    assert call(admin, "GET", f"audit/{entry.pk}/").json() == shown


def test_entries_come_newest_first_in_pages(admin: Client) -> None:
    for name in ("first", "second", "third"):
        noted(object_name=name)

    page = call(admin, "GET", "audit/?page_size=2").json()

    assert [entry["object"]["name"] for entry in page["results"]] == ["third", "second"]
    assert found(admin, page["next"].partition("/audit/")[2]) == ["first"]


def test_the_list_is_narrowed_by_each_filter(admin: Client) -> None:
    bea = UserFactory(username="bea")
    ours = Actor(bea.pk, "bea", Role.SYSTEM_ADMIN, Via.ADMIN, request_id="r-7")
    one = noted(ours, Action.TRIGGER_CANCELED, object_name="one")
    noted(SYSTEM, Action.WORKFLOW_CREATED, object_name="two")
    noted(SYSTEM, Action.TRIGGER_CREATED, object_name="three")
    noted(Actor(None, "anonymous", via=Via.API), Action.TRIGGER_CREATED, object_name="four")

    for query in (
        f"actor={bea.pk}", "actor=bea", "action=trigger.canceled", f"object_id={one.object_id}", "request_id=r-7",
        "via=admin", "object_type=trigger&via=admin", "actor=bea&action=trigger.canceled",
    ):  # fmt: skip
        assert (query, found(admin, f"?{query}")) == (query, ["one"])
    assert found(admin, "?object_type=trigger") == ["four", "three", "one"]
    assert found(admin, "?object_type=workflow") == ["two"]
    assert found(admin, "?action=trigger.created") == ["four", "three"]
    assert found(admin, "?via=command") == ["three", "two"]
    assert found(admin, "?actor=system") == ["three", "two"]
    assert found(admin, "?actor=anonymous") == ["four"]
    assert found(admin, "?actor=nobody") == []


def test_what_a_user_did_under_an_earlier_name_is_found_by_the_present_one(admin: Client) -> None:
    user = UserFactory(username="ann")
    noted(Actor(user.pk, "ann"), object_name="before")
    User.objects.filter(pk=user.pk).update(username="anna")

    assert found(admin, "?actor=anna") == ["before"]


def test_the_list_is_narrowed_to_a_time_along_the_primary_key(admin: Client) -> None:
    entry = noted(object_name="now")
    moment = entry.at.isoformat().replace("+00:00", "Z")
    just_after = (entry.at + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")

    with CaptureQueriesContext(connection) as captured:
        assert found(admin, f"?at_after={moment}&at_before={just_after}") == ["now"]
        where = captured[-1]["sql"].partition("WHERE")[2]
    assert '"accounts_auditentry"."id" >= ' in where
    assert '"accounts_auditentry"."id" < ' in where
    assert found(admin, f"?at_before={moment}") == []
    assert found(admin, f"?at_after={just_after}") == []


@pytest.mark.parametrize("name", ["at_after", "at_before"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"])
def test_a_time_at_the_ends_of_the_calendar_is_one(admin: Client, name: str, moment: str) -> None:
    noted()
    year = datetime.fromisoformat(moment).astimezone(UTC).year

    assert len(found(admin, f"?{name}={moment}")) == ((year < 2000) == (name == "at_after"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("action=workflow.exploded", ("action", "invalid_choice")),
        ("object_type=table", ("object_type", "invalid_choice")),
        ("via=pigeon", ("via", "invalid_choice")),
        ("object_id=17", ("object_id", "invalid")),
        ("at_after=yesterday", ("at_after", "invalid")),
        ("at_before=2026-01-01T00:00:00", ("at_before", "no_offset")),
        ("actor=%00", ("actor", "invalid")),
        ("changes=1", ("changes", "unknown_parameter")),
        ("object_name=one", ("object_name", "unknown_parameter")),
    ],
)
def test_a_filter_that_can_not_be_is_refused(admin: Client, query: str, expected: tuple[str, str]) -> None:
    answer = call(admin, "GET", f"audit/?{query}")

    assert (answer.status_code, errors_of(answer)) == (400, [expected])


NOBODY = "01900000-0000-7000-8000-000000000000"
# Each finds none, or few, of many entries.
FILTERS = [
    f"actor={NOBODY}", "actor=system", "action=workflow.changed", f"object_id={NOBODY}", "object_type=workflow",
    "request_id=r", "via=admin", "at_after=2026-01-01T00:00:00Z", "at_before=2020-01-01T00:00:00Z",
]  # fmt: skip


def removed_by_filters(plan: dict[str, Any]) -> int:
    """Return how many rows a plan read in vain."""
    return sum(int(plan.get(name, 0)) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck")) + sum(
        removed_by_filters(below) for below in plan.get("Plans", ())
    )


@pytest.mark.parametrize("query", FILTERS)
def test_no_filter_reads_the_whole_trail(admin: Client, query: str) -> None:
    acting = Actor(uuid7(), "ann", via=Via.API)
    AuditEntry.objects.bulk_create(
        entry_of(acting, Action.TRIGGER_CREATED, object_type="trigger", object_id=uuid7()) for _ in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_auditentry")
    with CaptureQueriesContext(connection) as captured:
        found(admin, f"?{query}")
        sql = next(query["sql"] for query in captured if "ORDER BY" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        ((plan,),) = cursor.fetchone()

    assert removed_by_filters(plan["Plan"]) < 100


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_it_over_the_api(admin: Client, method: str) -> None:
    entry = noted()

    for path in ("audit/", f"audit/{entry.pk}/"):
        answer = call(admin, method, path, {"actor": "x"})
        assert (answer.status_code, errors_of(answer)) == (405, [(None, "method_not_allowed")])

    assert told(AuditEntry.objects.get()) == told(entry)


def test_an_unknown_entry_is_404(admin: Client) -> None:
    assert call(admin, "GET", f"audit/{uuid7()}/").status_code == 404
    assert call(admin, "GET", "audit/17/").status_code == 404
