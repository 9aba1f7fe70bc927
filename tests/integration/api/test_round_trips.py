"""What a client sends comes back as it was, and is known again: keys and JSON of every kind."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.factories import WorkflowFactory
from tests.integration.api.answers import JSON, call, errors_of
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

KEYS = {
    "emoji": "🧑🏽\u200d🚀 order 17 🏳️\u200d🌈",
    "right to left": "הזמנה-\u0661\u0667-\u202eطلب",
    "combining": "e\u0301 is not \u00e9; n\u0303o\u0308",
    "255 of four bytes": "🚀" * 255,
    "spaces at both ends": "  key\t",
    "quotes and slashes": "a\"b'c\\d/e%00{{ f }}",
    "controls": "\x01\x1f\x7f\u0085\u2028\ufeff",
    "no character": "\uffff\ufffe\U0010ffff",
    "a number": "0017",
}


def nested(levels: int) -> dict[str, Any]:
    """Return an object with lists and objects in it, one in the other."""
    value: Any = {"end": True}
    for level in range(levels):
        value = {f"level {level}": value} if level % 2 else [value]
    return dict(value)


CONTEXTS: dict[str, dict[str, Any]] = {
    "text": {"Größe": "naïve 日本語 🚀", "": "no name", "a.b": "\u202e", "e\u0301": 1, "\u00e9": 2, "x": "\x01\ufeff"},
    "floats": {"one": 1.0, "tiny": 1e-7, "price": 99.9, "pi": 3.141592653589793, "least": 5e-324, "minus": -0.1},
    "integers": {"zero": 0, "over": 2**63, "under": -(2**63) - 1, "large": 10**30, "larger": 10**400},
    "constants": {"null": None, "true": True, "false": False, "empty": {}, "list": [], "mixed": [1, "1", 1.5, [{}]]},
    "60 levels": nested(60),
    "wide": {f"name {number}": number for number in range(10_000)},
    "liquid": {"body": "{{ steps.mail.message_id }} {% for %}"},
}


def ask(admin: Client, **changes: Any) -> Any:
    """Ask for a trigger of the workflow `known`."""
    return call(
        admin,
        "POST",
        "triggers/",
        {"workflow": "known", "idempotency_key": "k", "context": {}, "recipient": {}} | changes,
    )


def exact(value: object) -> str:
    """Return JSON in one spelling, which tells 1 from 1.0 and true, as `==` does not."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_comes_back_as_it_was(admin: Client, name: str) -> None:
    WorkflowFactory(key="known")

    first = ask(admin, idempotency_key=KEYS[name])
    again = ask(admin, idempotency_key=KEYS[name])

    assert (first.status_code, first.json()["idempotency_key"]) == (202, KEYS[name])
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert Trigger.objects.get().idempotency_key == KEYS[name]
    found = admin.get("/api/v1/triggers/", {"idempotency_key": KEYS[name].strip()}).json()["results"]
    # A filter's value loses the spaces around it, so that such a key is found by its id alone.
    assert len(found) == (KEYS[name] == KEYS[name].strip())


def test_keys_that_only_look_alike_are_two(admin: Client) -> None:
    WorkflowFactory(key="known")

    answers = [ask(admin, idempotency_key=key).status_code for key in ("e\u0301", "\u00e9", "E\u0301", "e\u0301 ")]

    assert answers == [202, 202, 202, 202]


@pytest.mark.parametrize("length", [256, 70_000])
def test_longer_keys_are_refused_and_not_cut(admin: Client, length: int) -> None:
    WorkflowFactory(key="known")

    answer = ask(admin, idempotency_key="🚀" * length)

    assert (answer.status_code, errors_of(answer)) == (400, [("idempotency_key", "max_length")])


@pytest.mark.parametrize("header", ["größe", "🚀".encode().decode("latin-1"), "\xff"])
def test_a_header_holds_no_key_that_a_body_would_hold_otherwise(admin: Client, header: str) -> None:
    WorkflowFactory(key="known")
    body = {"workflow": "known"}

    answer = call(admin, "POST", "triggers/", body, headers={"Idempotency-Key": header})

    assert (answer.status_code, errors_of(answer)) == (400, [("idempotency_key", "not_ascii")])
    assert Trigger.objects.count() == 0


@pytest.mark.parametrize("name", CONTEXTS)
def test_json_comes_back_as_it_was(admin: Client, name: str) -> None:
    WorkflowFactory(key="known")
    recipient = {} if name == "wide" else CONTEXTS[name]

    first = ask(admin, context=CONTEXTS[name], recipient=recipient)
    stored = call(admin, "GET", f"triggers/{first.json()['id']}/")

    assert first.status_code == 202
    for answer in (first, stored):
        assert exact(answer.json()["context"]) == exact(CONTEXTS[name])
        assert exact(answer.json()["recipient"]) == exact(recipient)


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_repeated_request_is_known_again(admin: Client, name: str) -> None:
    WorkflowFactory(key="known")
    context = CONTEXTS[name]
    first = ask(admin, context=context)

    again = ask(admin, context=dict(reversed(context.items())))
    escaped = json.dumps({"workflow": "known", "idempotency_key": "k", "context": context}, indent=1).encode()
    spelled_otherwise = call(admin, "POST", "triggers/", escaped)
    another = ask(admin, context={**context, "more": 1})

    for answer in (again, spelled_otherwise):
        assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
        assert "Idempotent-Payload-Differs" not in answer.headers
        assert answer.json()["id"] == first.json()["id"]
    assert another.headers["Idempotent-Payload-Differs"] == "true"


def test_a_workflow_keeps_its_texts_as_they_were(admin: Client) -> None:
    texts = {"subject": KEYS["emoji"], "body": KEYS["right to left"] + "\r\n\t" + KEYS["combining"]}
    body = {"name": KEYS["emoji"], "entry_node_id": "a", "nodes": [{"id": "a", "type": "email", **texts}]}

    made = call(admin, "POST", "workflows/", body).json()

    assert (made["name"], made["nodes"]) == (body["name"], body["nodes"])
    assert call(admin, "GET", f"workflows/{made['id']}/", content_type=JSON).json() == made
