"""`POST /api/v1/triggers/bulk/` as JSON: many triggers of one workflow, all or none."""

import json
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.audit import SYSTEM
from accounts.models import AuditEntry
from accounts.roles import Role
from execution.runner import advance_lane
from tests.factories import ANN, TriggerFactory, UserFactory, WorkflowFactory
from tests.integration.api.answers import call, errors_of, signed_in
from triggers import bells, insertion
from triggers.bulk import acceptance
from triggers.bulk.acceptance import accept_all
from triggers.bulk.items import Item
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

URL = "triggers/bulk/"


@pytest.fixture
def client(db: None) -> Client:
    """Return a client of a trigger operator."""
    return signed_in(UserFactory(role=Role.TRIGGER_OPERATOR, username="ann"))


@pytest.fixture(params=["postgresql", "sqlite"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Insert in each of the two ways; the one for SQLite does as well on PostgreSQL, but for how it reads JSON."""
    monkeypatch.setitem(insertion.ENTRY_NODE_ID, "sqlite", insertion.ENTRY_NODE_ID["postgresql"])
    seen = Mock(wraps=connection, vendor=request.param, ops=connection.ops)
    for module in (acceptance, insertion):
        monkeypatch.setattr(module, "connection", seen)


def item(key: str, **more: Any) -> dict[str, Any]:
    """Return what is asked for with a key."""
    return {"idempotency_key": key, "recipient": ANN, "context": {"order": {"id": 17}}, **more}


def post(client: Client, *items: Any, workflow: str = "known", **more: Any) -> Any:
    """Ask for triggers of a workflow."""
    return call(client, "POST", URL, {"workflow": workflow, "triggers": list(items)}, **more)


def test_all_are_stored_and_told_in_the_order_asked_for(client: Client) -> None:
    """Invariant 1: what was answered with a 2xx stands. The keys' order is not the order asked for."""
    workflow = WorkflowFactory(key="known", priority=1)
    keys = [f"order-{number * 7 % 10}" for number in range(10)]

    answer = post(client, *(item(key, context={"key": key}) for key in keys))

    assert answer.status_code == 202
    told = answer.json()
    assert (told["created"], told["existing"]) == (10, 0)
    assert [(each["idempotency_key"], each["created"]) for each in told["triggers"]] == [(key, True) for key in keys]
    stored = {str(trigger.pk): trigger for trigger in Trigger.objects.all()}
    assert [stored[each["id"]].idempotency_key for each in told["triggers"]] == keys
    assert [stored[each["id"]].context for each in told["triggers"]] == [{"key": key} for key in keys]
    # Lists and claims go by the id.
    assert sorted(stored) == [each["id"] for each in told["triggers"]]
    assert {(each.workflow_id, each.version.number, each.priority) for each in stored.values()} == {(workflow.pk, 1, 1)}


@pytest.mark.usefixtures("way")
def test_a_trigger_of_many_is_the_same_as_a_single_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    WorkflowFactory(key="known")
    soon = (now + timedelta(hours=1)).isoformat()
    texts = {"Größe": "naïve 日本語 🚀", "\u2028": "\x01\"'\\%s", "e\u0301": 1, "\u00e9": 2}
    numbers = {"tiny": 5e-324, "float": 1.0, "large": 10**400, "exponent": 1e22, "minus": -0.0}
    asked: list[dict[str, Any]] = [
        {},
        {"recipient": texts, "context": {**texts, "numbers": numbers, "none": None, "list": [[], {}, True]}},
        {"priority": "critical", "scheduled_at": soon},
        {"scheduled_at": "2020-03-05T09:00:00+01:00", "ttl_s": 300},
        {"scheduled_at": soon, "ttl_s": 5},
        {"expires_at": soon, "ttl_s": None, "scheduled_at": None},
    ]

    post(client, *({"idempotency_key": f"'many\\ {number}%s", **each} for number, each in enumerate(asked)))
    for number, each in enumerate(asked):
        call(client, "POST", "triggers/", {"workflow": "known", "idempotency_key": f"one {number}", **each})

    found = [facts(trigger) for trigger in Trigger.objects.order_by("pk")]
    assert found[:6] == found[6:]
    assert len(found) == 12
    assert Trigger.objects.filter(idempotency_key="'many\\ 0%s").exists()


def facts(trigger: Trigger) -> dict[str, Any]:
    """Return a row, but for what is its own."""
    values = {field.attname: getattr(trigger, field.attname) for field in Trigger._meta.concrete_fields}
    return {name: exact(value) for name, value in values.items() if name not in ("id", "idempotency_key")}


def exact(value: object) -> str:
    """Return JSON in one spelling, which tells 1 from 1.0 and true, as `==` does not."""
    return json.dumps(value, sort_keys=True, default=str)


def test_the_engine_runs_them(client: Client) -> None:
    WorkflowFactory(key="known")
    post(client, *(item(f"k{number}") for number in range(3)))

    assert advance_lane("medium") == 3
    assert set(Trigger.objects.values_list("status", flat=True)) == {"completed"}


@pytest.mark.usefixtures("way")
def test_what_stands_already_is_told_and_nothing_is_made_twice(client: Client) -> None:
    workflow = WorkflowFactory(key="known")
    old = TriggerFactory(workflow=workflow, idempotency_key="old", context={})
    first = post(client, item("new-1"), item("old"), item("new-2")).json()

    again = post(client, item("new-1"), item("old"), item("new-2"), workflow=str(workflow.pk))

    assert (first["created"], first["existing"]) == (2, 1)
    assert [each["created"] for each in first["triggers"]] == [True, False, True]
    assert first["triggers"][1]["id"] == str(old.pk)
    assert again.status_code == 202
    assert again.json() == {
        "created": 0,
        "existing": 3,
        "triggers": [{**each, "created": False} for each in first["triggers"]],
    }
    assert Trigger.objects.count() == 3
    old.refresh_from_db()
    assert old.context == {}


def test_the_same_key_of_another_workflow_is_another_trigger(client: Client) -> None:
    WorkflowFactory(key="known")
    TriggerFactory(idempotency_key="k")

    assert post(client, item("k")).json()["created"] == 1


def test_a_key_twice_in_one_request_is_one_trigger_and_the_first_says_which(client: Client) -> None:
    WorkflowFactory(key="known")

    told = post(client, item("k", context={"n": 1}), item("k", context={"n": 2})).json()

    assert (told["created"], told["existing"]) == (1, 1)
    assert [each["created"] for each in told["triggers"]] == [True, False]
    assert len({each["id"] for each in told["triggers"]}) == 1
    assert Trigger.objects.get().context == {"n": 1}


@pytest.mark.usefixtures("way")
def test_each_has_its_entry_and_a_replay_has_none(client: Client) -> None:
    WorkflowFactory(key="known")
    for _ in range(2):
        post(client, item("a"), item("b"), headers={"X-Request-ID": "r-17"})
    call(client, "POST", "triggers/", {"workflow": "known", **item("one")}, headers={"X-Request-ID": "r-17"})

    entries = {entry.object_name: entry for entry in AuditEntry.objects.all()}
    assert {entry.object_id for entry in entries.values()} == set(Trigger.objects.values_list("pk", flat=True))
    assert sorted(entries) == ["a", "b", "one"]
    own = {"id", "at", "object_id", "object_name"}
    said = [
        {field.attname: getattr(entry, field.attname) for field in AuditEntry._meta.concrete_fields}
        for entry in entries.values()
    ]
    assert len({exact({name: value for name, value in each.items() if name not in own}) for each in said}) == 1
    assert (said[0]["action"], said[0]["actor"], said[0]["request_id"]) == ("trigger.created", "ann", "r-17")


@pytest.mark.django_db(transaction=True)
def test_neither_a_trigger_nor_its_entry_stands_without_the_other(client: Client) -> None:
    """Nor without all the others: what fails in the second thousand takes the first along."""
    WorkflowFactory(key="known")
    TriggerFactory(workflow__key="other")
    asked = [Item(f"k{number:05}", b"{}", b"{}") for number in range(1500)]
    broken = [*asked[:-1], asked[-1]._replace(recipient=b'{"a":"\\u0000"}')]

    with pytest.raises(Exception, match="u0000"):
        accept_all(workflow="known", items=broken, by=SYSTEM)

    assert (Trigger.objects.count(), AuditEntry.objects.count()) == (1, 0)
    assert sum(each.created for each in accept_all(workflow="known", items=asked, by=SYSTEM)) == 1500


def test_ten_thousand_take_few_statements(client: Client) -> None:
    WorkflowFactory(key="known")
    asked = [item(f"k{number}") for number in range(10_000)]

    with CaptureQueriesContext(connection) as queries:
        answer = post(client, *asked)

    assert answer.json()["created"] == 10_000
    assert Trigger.objects.count() == AuditEntry.objects.count() == 10_000
    # One for each thousand; the workflow and its lock; the transaction.
    assert len(queries) < 20


# --- what is refused ---


@pytest.mark.parametrize(("named", "status"), [("known", 202), ("other", 400), ("", 400), ("x" * 200, 400)])
def test_an_address_that_names_a_workflow_names_the_body_s(client: Client, named: str, status: int) -> None:
    """It is an upload's place to name it; passed over in silence, the wrong workflow would be triggered."""
    for key in ("known", "other"):
        WorkflowFactory(key=key)

    answer = call(client, "POST", f"{URL}?workflow={named}", {"workflow": "known", "triggers": [item("k")]})

    assert (answer.status_code, Trigger.objects.count()) == (status, int(status == 202))
    assert status == 202 or errors_of(answer) == [("workflow", "contradiction")]


def test_each_bad_one_is_named_and_none_is_stored(client: Client) -> None:
    WorkflowFactory(key="known")

    answer = post(
        client,
        item("ok"),
        item("", recipient="Ann"),
        item("k", priority="urgent", color="red"),
        17,
        {"recipient": {}},
        item("k", context={"text": "x" * 263_000}),
        item("k", workflow="known"),
        item("also ok"),
    )

    assert answer.status_code == 400
    assert sorted(errors_of(answer)) == [
        ("triggers.1.idempotency_key", "blank"),
        ("triggers.1.recipient", "invalid"),
        ("triggers.2.color", "unknown_field"),
        ("triggers.2.priority", "invalid_choice"),
        ("triggers.3", "invalid"),
        ("triggers.4.idempotency_key", "required"),
        ("triggers.5.context", "context_too_large"),
        ("triggers.6.workflow", "unknown_field"),
    ]
    assert Trigger.objects.count() == AuditEntry.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], [("non_field_errors", "invalid")]),
        ("x", [("non_field_errors", "invalid")]),
        ({}, [("triggers", "required"), ("workflow", "required")]),
        ({"workflow": None, "triggers": None}, [("triggers", "null"), ("workflow", "null")]),
        ({"workflow": 17, "triggers": {}}, [("triggers", "not_a_list"), ("workflow", "invalid")]),
        ({"workflow": "known", "triggers": []}, [("triggers", "empty")]),
        (
            {"workflow": "known", "triggers": [{}], "color": 1},
            [("color", "unknown_field"), ("triggers.0.idempotency_key", "required")],
        ),
        ({"workflow": "x" * 101, "triggers": [{"idempotency_key": "k"}]}, [("workflow", "max_length")]),
        ({"workflow": "known", "triggers": [{"idempotency_key": "k"}] * 10_001}, [("triggers", "max_length")]),
    ],
)
def test_a_body_that_is_wrong_as_a_whole(client: Client, body: Any, expected: list[tuple[str, str]]) -> None:
    WorkflowFactory(key="known")

    answer = call(client, "POST", URL, body)

    assert (answer.status_code, sorted(errors_of(answer))) == (400, expected)
    assert Trigger.objects.count() == 0


GOOD = b'{"workflow": "known", "triggers": [{"idempotency_key": "k"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[", b"nonsense", GOOD[:-1], GOOD[:-2], GOOD[:-3], GOOD + b"x", GOOD + b"{}", b"\xff\xfe{}",
        GOOD.replace(b":", b""), GOOD.replace(b",", b""), GOOD.replace(b'"k"', b"NaN"), GOOD.replace(b"[", b"[,"),
        GOOD.replace(b"}]", b"},]"), GOOD.replace(b'{"w', b'{17:1,"w'), GOOD.replace(b'{"w', b'{,"w'),
        GOOD.replace(b'{"w', b'{"workflow":"known","w'), GOOD.replace(b'{"i', b'{"idempotency_key":"a","i'),
        GOOD.replace(b'"k"', b'"\\u0000"'), GOOD.replace(b'"k"', b'"\\ud800"'), GOOD.replace(b'"k"', b"1" * 1001),
        GOOD.replace(b'"k"', b"1e400"), GOOD.replace(b'"k"', b"[" * 100_000),
        GOOD.replace(b'"k"', b"[" * 65 + b"]" * 65),
    ],
)  # fmt: skip
def test_a_body_that_is_no_json(client: Client, body: bytes) -> None:
    WorkflowFactory(key="known")

    answer = call(client, "POST", URL, body)

    wanted = [("triggers", "required"), ("workflow", "required")] if body == b"" else [(None, "parse_error")]
    assert (answer.status_code, sorted(errors_of(answer))) == (400, wanted)
    assert Trigger.objects.count() == 0


def test_what_json_allows_is_read(client: Client) -> None:
    WorkflowFactory(key="known")
    nested = b'{"a":' * 60 + b"1" + b"}" * 60
    body = GOOD.replace(b'"k"', b'"\\u00e9[[{\\"", "context": ' + nested)
    spaced = b"\xef\xbb\xbf" + b"\r\n\t ".join([b"", *(body.replace(b",", b" ,\n").partition(b"["))]) + b" \n"

    assert call(client, "POST", URL, spaced).status_code == 202
    assert Trigger.objects.get().idempotency_key == 'é[[{"'


def test_the_triggers_may_come_before_the_workflow(client: Client) -> None:
    WorkflowFactory(key="known")

    assert call(client, "POST", URL, {"triggers": [{"idempotency_key": "k"}], "workflow": "known"}).status_code == 202


def test_faults_without_end_are_told_up_to_a_bound_and_each_bad_one_is(client: Client) -> None:
    WorkflowFactory(key="known")
    bad = {f"field {number}": 1 for number in range(1000)} | {"idempotency_key": "k"}

    answer = post(client, *([bad] * 30), {})

    told = errors_of(answer)
    assert len(told) == 10_000 + 20 + 1
    assert {attr.split(".")[1] for attr, _ in told if attr} == {str(number) for number in range(31)}


def test_a_body_past_the_limit_is_refused_and_one_below_it_is_not(client: Client, settings: Settings) -> None:
    WorkflowFactory(key="known")
    settings.API_BULK_LIMIT_BYTES = 3_000_000
    largest = {"text": "x" * 250_000}

    # Larger than what the other calls read.
    assert post(client, *(item(f"k{number}", context=largest) for number in range(11))).status_code == 202
    answer = post(client, *(item(f"l{number}", context=largest) for number in range(12)))
    assert (answer.status_code, errors_of(answer)) == (413, [(None, "body_too_large")])
    assert Trigger.objects.count() == 11


def test_an_unknown_workflow_and_one_that_is_not_active(client: Client) -> None:
    workflow = WorkflowFactory(key="known")
    post(client, item("a"))
    workflow.is_active = False
    workflow.save()

    refused = [post(client, item("a"), item("b")), post(client, item("a"), workflow="nowhere")]
    replayed = post(client, item("a"))

    assert [(answer.status_code, errors_of(answer)) for answer in refused] == [
        (409, [(None, "workflow_inactive")]),
        (404, [(None, "unknown_workflow")]),
    ]
    assert (replayed.status_code, replayed.json()["existing"]) == (202, 1)
    workflow.deleted_at = timezone.now()
    workflow.save()
    assert (post(client, item("a")).status_code, post(client, item("b")).status_code) == (202, 404)
    assert Trigger.objects.count() == 1


# --- bells ---


@pytest.mark.django_db(transaction=True)
def test_each_lane_is_rung_once_for_what_is_new_in_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    WorkflowFactory(key="known")
    TriggerFactory(workflow__key="other")
    rung = Mock()
    monkeypatch.setattr(bells, "ring_at", rung)
    later, latest = ((timezone.now() + timedelta(seconds=seconds)).isoformat() for seconds in (30, 55))

    low = [item(key, priority="low", scheduled_at=moment) for key, moment in (("b", later), ("e", latest))]
    post(client, item("a"), *low, item("c"), item("d", priority="critical"))
    first = {each.args[0]: (each.args[1] - each.kwargs["now"]).total_seconds() for each in rung.call_args_list}
    calls = rung.call_count
    post(client, item("a"), item("c"))

    assert {lane: round(seconds, -1) for lane, seconds in first.items()} == {"critical": 0, "low": 30, "medium": 0}
    assert (calls, rung.call_count) == (3, 3)


# --- what it counts as ---


def test_it_counts_as_a_request_for_each_hundred_triggers_begun(settings: Settings) -> None:
    WorkflowFactory(key="known")
    cache.clear()
    client = signed_in(UserFactory(role=Role.TRIGGER_OPERATOR, rate_limit=10))

    left = []
    for size in (1, 100, 101, 250):
        answer = post(client, *(item(f"{size} {number}") for number in range(size)))
        left.append((answer.status_code, int(answer.headers["RateLimit-Remaining"])))

    assert left == [(202, 9), (202, 8), (202, 6), (202, 3)]
    # What is more than is left is let in, once.
    assert post(client, *(item(f"many {number}") for number in range(2000))).status_code == 202
    assert (post(client, item("x")).status_code, call(client, "GET", "me/").status_code) == (429, 429)
