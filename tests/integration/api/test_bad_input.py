"""Bodies that no client should send: each ends as a 4xx that says why, never as a 500."""

import json
from collections.abc import Iterator
from copy import deepcopy
from time import monotonic
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from tests.factories import EMAIL, PASSWORD, UserFactory, WorkflowFactory, definition
from tests.integration.api.answers import call, details_of, errors_of
from triggers.models import Trigger
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

Path = tuple[str | int, ...]

USER = {
    "username": "bea",
    "email": "bea@example.org",
    "role": "triggerOperator",
    "is_active": True,
    "password": PASSWORD,
}
PLAIN = {"name": "Plain", "priority": "high", "strict_variables": False, **definition(EMAIL)}
DAG = {
    "key": "every-field",
    "name": "Every field",
    "priority": "high",
    "strict_variables": False,
    **definition(
        {**EMAIL, "to": "{{ recipient.email }}", "html_body": "<p>Hi</p>", "on_doubt": "hold"},
        {"id": "wait", "type": "delay", "duration": "PT1H"},
        {"id": "pause", "type": "delay", "delay_ms": 5},
        {"id": "text", "type": "sms", "to": "+1", "body": "?", "retry": {"max_attempts": 2, "intervals_s": [60, 2.5]}},
        {**EMAIL, "id": "last", "retry": {"backoff": {"base_s": 1, "factor": 2, "cap_s": 9}}},
        edges=[("mail", "wait", "order.total > 10"), ("wait", "pause"), ("pause", "text"), ("text", "last")],
    ),
}
TRIGGER = {
    "workflow": "known",
    "idempotency_key": "order-17",
    "recipient": {},
    "context": {},
    "priority": "low",
    "scheduled_at": "2026-03-05T09:00:00Z",
}
REDRIVE = {
    "workflow": "known",
    "created_after": "2026-03-05T09:00:00Z",
    "created_before": "2026-03-06T09:00:00Z",
    "ids": ["01900000-0000-7000-8000-000000000000"],
}
# Every call that reads a body, with a body that says everything that the call knows.
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "token": ("POST", "auth/token/", {"username": "ann", "password": PASSWORD}),
    "refresh": ("POST", "auth/token/refresh/", {"refresh": "a token"}),
    "revoke": ("POST", "auth/token/revoke/", {"refresh": "a token"}),
    "user": ("POST", "users/", USER),
    "user change": ("PATCH", "users/{ann}/", USER),
    "workflow": ("POST", "workflows/", PLAIN),
    "workflow put": ("PUT", "workflows/known/", PLAIN),
    "workflow patch": ("PATCH", "workflows/known/", PLAIN),
    "workflow validate": ("POST", "workflows/validate/", DAG),
    "preview": ("POST", "templates/preview/", {"source": "x", "context": {}, "strict_variables": True}),
    "trigger": ("POST", "triggers/", TRIGGER),
    "redrive": ("POST", "triggers/redrive/", REDRIVE),
}
VALUES: tuple[Any, ...] = (None, True, 17, -1, 1.5, 10**400, "x", "", [], [[]], {}, {"x": {}}, "x" * 70_000)
KINDS = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object", type(None): "null"}
# What is taken besides a value of the kind meant.
ALSO_TAKEN = {
    "workflow validate": {("edges.0.when", "null")},
    "trigger": {("scheduled_at", "null")},
}
TRIGGER_BYTES = json.dumps(TRIGGER).encode()
# Bodies that no call takes, with what is said about them.
NO_JSON: dict[str, tuple[bytes, str]] = {
    "truncated": (b'{"workflow": "kno', "The body is not JSON: Unterminated string starting at: line 1 column 14"),
    "no JSON at all": (b"workflow=known", "The body is not JSON: Expecting value"),
    "a comma too many": (b'{"workflow": "known",}', "The body is not JSON: "),
    "two values": (b"{} {}", "The body is not JSON: Extra data"),
    "a NUL": (b'{"workflow": "\x00"}', "The body is not JSON: Invalid control character"),
    "an escaped NUL": (b'{"workflow": "\\u0000"}', "Text can't hold the character NUL"),
    "an escaped NUL in a name": (b'{"workflow": {"a": [{"\\u0000": 1}]}}', "Text can't hold the character NUL"),
    "half a surrogate pair": (b'{"workflow": "\\ud83d"}', "Text can't hold half of a surrogate pair"),
    "half a pair in a name": (b'{"\\uDE00": 1}', "Text can't hold half of a surrogate pair"),
    "raw half a pair": (b'{"workflow": "\xed\xa0\x80"}', "The body is not UTF-8."),
    "Latin-1": ('{"workflow": "größe"}'.encode("latin-1"), "The body is not UTF-8."),
    "UTF-16": ('{"context": {"a": "\\u0000"}}'.encode("utf-16"), "The body is not UTF-8."),
    "UTF-16 without a mark": (json.dumps(TRIGGER).encode("utf-16-le"), "The body is not JSON: "),
    "UTF-32": (json.dumps(TRIGGER).encode("utf-32"), "The body is not UTF-8."),
    "NaN": (b'{"context": {"a": NaN}}', "The body is not JSON: NaN is no JSON number"),
    "Infinity": (b'{"context": {"a": -Infinity}}', "The body is not JSON: -Infinity is no JSON number"),
    "1e999": (b'{"context": {"a": 1e999}}', "The body is not JSON: 1e999 is too large a number"),
    "5,000 digits": (b'{"context": {"a": %s}}' % (b"9" * 5000), "A number has more than 1000 digits."),
    "a name twice": (b'{"context": {"to": 1, "a": 2, "to": 3}}', "An object has the name 'to' more than once."),
    "10,000 lists deep": (b"[" * 10_000 + b"]" * 10_000, "The body is nested deeper than 64 levels."),
    "10,000 objects deep": (b'{"a":' * 10_000, "The body is nested deeper than 64 levels."),
}
NO_OBJECT = (b"[]", b'["workflow"]', b'"workflow"', b"17", b"true", b"null")


@pytest.fixture
def ann() -> User:
    """Return a user to be changed, beside a workflow to be changed."""
    WorkflowFactory(key="known")
    user: User = UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)
    return user


def parts_of(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Give each part of a JSON value with its path, also those in lists and objects."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name), item
        yield from parts_of(item, (*path, name))


def replaced(body: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """Return a copy of a body with another value at a path."""
    changed: Any = deepcopy(body)
    part = changed
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return dict(changed)


@pytest.mark.parametrize("name", CALLS)
def test_each_part_of_each_body_is_taken_only_as_what_it_is_meant_to_be(admin: Client, ann: User, name: str) -> None:
    method, path, body = CALLS[name]
    taken = set()
    for at, meant in parts_of(body):
        for value in VALUES:
            answer = call(admin, method, path.format(ann=ann.pk), replaced(body, at, value))
            if answer.status_code >= 400:
                assert answer.status_code in (400, 401, 404), (at, value)
                assert {(attr or str(at[0])).split(".")[0] for attr, _ in errors_of(answer)} <= {
                    *body,
                    "non_field_errors",
                }
            elif answer.json().get("valid", True) and KINDS[type(value)] != KINDS[type(meant)]:
                taken.add((".".join(map(str, at)), KINDS[type(value)]))

    assert taken == ALSO_TAKEN.get(name, set())


@pytest.mark.parametrize("name", CALLS)
def test_bodies_that_are_no_json_are_refused_by_each_call(admin: Client, ann: User, name: str) -> None:
    method, path, _ = CALLS[name]
    for what, (body, reason) in NO_JSON.items():
        answer = call(admin, method, path.format(ann=ann.pk), body)
        assert (what, answer.status_code, errors_of(answer)) == (what, 400, [(None, "parse_error")])
        assert details_of(answer)[0][: len(reason)] == reason


@pytest.mark.parametrize("name", [name for name in CALLS if name != "workflow validate"])
def test_bodies_that_are_no_object_are_refused_by_each_call(admin: Client, ann: User, name: str) -> None:
    method, path, _ = CALLS[name]
    for body in NO_OBJECT:
        answer = call(admin, method, path.format(ann=ann.pk), body)
        code = "null" if body == b"null" else "invalid"
        assert (body, answer.status_code, errors_of(answer)) == (body, 400, [("non_field_errors", code)])


def test_validate_says_of_what_is_no_object_that_it_is_not_valid(admin: Client) -> None:
    for body in NO_OBJECT:
        answer = call(admin, "POST", "workflows/validate/", body).json()
        assert (answer["valid"], [error["attr"] for error in answer["errors"]]) == (False, ["non_field_errors"])


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("user change", "workflow patch")])
def test_an_empty_body_lacks_what_is_required(admin: Client, ann: User, name: str) -> None:
    method, path, _ = CALLS[name]
    for body in (b"", b"{}"):
        answer = call(admin, method, path.format(ann=ann.pk), body)
        if name == "workflow validate":
            assert {error["code"] for error in answer.json()["errors"]} == {"required"}
        else:
            assert (answer.status_code, {code for _, code in errors_of(answer)}) == (400, {"required"})


@pytest.mark.parametrize("name", ["user", "user change", "workflow", "workflow patch", "preview", "trigger", "redrive"])
@pytest.mark.parametrize("field", ["colour", "is_superuser", "Workflow", "__class__", "a.b", "ﬁeld", " ", "x" * 300])
def test_fields_that_do_not_exist_are_named(admin: Client, ann: User, name: str, field: str) -> None:
    method, path, body = CALLS[name]

    answer = call(admin, method, path.format(ann=ann.pk), {**body, field: True})

    assert (answer.status_code, errors_of(answer)) == (400, [(field, "unknown_field")])
    assert not User.objects.filter(is_superuser=True).exists()


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
     "json", "application/" + "x" * 9000, "application/json-patch+json"],
)  # fmt: skip
def test_other_content_types_than_json_are_refused(admin: Client, ann: User, content_type: str) -> None:
    answer = call(admin, "POST", "triggers/", TRIGGER, content_type=content_type)

    assert (answer.status_code, errors_of(answer)) == (415, [(None, "unsupported_media_type")])


def test_a_byte_order_mark_is_overlooked(admin: Client, ann: User) -> None:
    assert call(admin, "POST", "triggers/", b"\xef\xbb\xbf" + TRIGGER_BYTES).status_code == 202


def test_bodies_of_a_megabyte_are_read_and_larger_ones_refused(admin: Client, ann: User) -> None:
    large = {**TRIGGER, "context": {"text": "x" * 1_000_000}}
    larger = {**TRIGGER, "context": {"text": "x" * 3_000_000}}

    asked = [call(admin, "POST", "triggers/", body) for body in (large, larger)]
    previewed = [call(admin, "POST", "templates/preview/", {"source": "ü" * count}) for count in (170_000, 1_500_000)]

    assert [(answer.status_code, errors_of(answer)) for answer in asked] == [
        (413, [(None, "context_too_large")]),
        (413, [(None, "body_too_large")]),
    ]
    assert [(answer.status_code, errors_of(answer)) for answer in previewed] == [
        (400, [("source", "max_length")]),
        (413, [(None, "body_too_large")]),
    ]
    assert Trigger.objects.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 65 + b'"' + b'\\"' * 900_000,
        b"[" * 65 + b'"' + b"\\" * 1_900_000,
        b'"[' * 900_000,
        b"{" + b",".join(b'"%d":1' % (number // 2) for number in range(150_000)) + b"}",
        b'{"a":' + b"9" * 1_900_000 + b"}",
        b'{"a":' + b"1" * 1_900_000 + b".5}",
    ],
    ids=["a string without end", "backslashes", "quotes and brackets", "names twice", "digits", "digits and a point"],
)
def test_no_body_keeps_a_server_busy(admin: Client, body: bytes) -> None:
    started = monotonic()

    answer = call(admin, "POST", "auth/token/", body)

    assert (answer.status_code, errors_of(answer)) == (400, [(None, "parse_error")])
    assert monotonic() - started < 10


def test_enormous_definitions_are_refused(admin: Client) -> None:
    nodes = [{**EMAIL, "id": f"n{number}"} for number in range(10_000)]
    edges = [(f"n{number}", f"n{number + 1}") for number in range(9_999)]

    answer = call(admin, "POST", "workflows/", {"name": "Large", **definition(*nodes, edges=edges)})

    assert (answer.status_code, errors_of(answer)) == (400, [("nodes", "too_many"), ("edges", "too_many")])
    assert Workflow.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"body": "{% if a %}" * 200 + "{% endif %}" * 200}, ("nodes.0.body", "liquid_syntax")),
        ({"body": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}"}, ("nodes.0.body", "liquid_syntax")),
        ({"body": "{% include 'x' %}"}, ("nodes.0.body", "liquid_syntax")),
        ({"retry": {"backoff": {"base_s": 10**400}}}, ("nodes.0.retry.backoff.base_s", "out_of_range")),
        ({"type": "delay", "duration": "P1M"}, ("nodes.0.duration", "invalid_delay")),
        ({"type": "delay", "duration": "-PT1H"}, ("nodes.0.duration", "invalid_delay")),
        ({"type": "delay", "duration": ""}, ("nodes.0.duration", "invalid_delay")),
        ({"type": "delay", "duration": "P" + "9" * 5000 + "D"}, ("nodes.0.duration", "invalid_delay")),
        ({"type": "delay", "delay_ms": -(10**400)}, ("nodes.0.delay_ms", "invalid_delay")),
        ({"type": "delay", "delay_ms": 10**400}, ("nodes.0.delay_ms", "invalid_delay")),
    ],
)
def test_nodes_that_could_not_run_are_refused(admin: Client, change: dict[str, Any], expected: tuple[str, str]) -> None:
    node = {"id": "mail", **({} if "type" in change else EMAIL), **change}

    answer = call(admin, "POST", "workflows/", {"name": "Bad", **definition(node)})

    assert (answer.status_code, errors_of(answer)) == (400, [expected])


@pytest.mark.parametrize(
    ("edges", "path"),
    [([("a", "a"), ("a", "b")], "a -> a"), ([("a", "b"), ("b", "a")], "a -> b -> a")],
)
def test_edges_that_lead_in_a_circle_are_shown(admin: Client, edges: list[tuple[str, ...]], path: str) -> None:
    nodes = [{**EMAIL, "id": "a"}, {**EMAIL, "id": "b"}]

    answer = call(admin, "POST", "workflows/", {"name": "Circle", **definition(*nodes, edges=edges)})

    assert (answer.status_code, errors_of(answer)) == (400, [("edges", "cycle")])
    assert details_of(answer) == [f"The edges lead in a circle: {path}."]
