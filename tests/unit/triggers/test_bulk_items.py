"""One trigger of many is taken and refused exactly as the serializer of a single one does it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from triggers.bulk.items import Item, item_from, plain_item
from triggers.serializers import LARGEST_CONTEXT_BYTES, LARGEST_RECIPIENT_BYTES, LONGEST_TTL_S, TriggerBodySerializer
from workflows.priorities import LANES

SOON = (timezone.now() + timedelta(days=1)).isoformat()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
TEXTS = st.text(max_size=300) | st.sampled_from(
    ["", " ", "\x00", "a\x00", "x" * 255, "x" * 256, "🚀" * 255, "🚀" * 256]
)
MOMENTS = st.sampled_from(
    [
        SOON, "2026-03-05T09:00:00Z", "2026-03-05t09:00:00.123456+01:00", "2026-03-05T09:00:00", "2026-03-05",
        "9999-01-01T00:00:00Z", "2026-02-30T09:00:00Z", "0001-01-01T00:00:00+23:59", "", "now",
    ]
)  # fmt: skip
SECONDS = st.integers(-2, 3) | st.sampled_from(
    [LONGEST_TTL_S, LONGEST_TTL_S + 1, 1.0, 1.5, 10**400, 1e308, True, "300", ""]
)
LARGE = st.sampled_from([8191, 8192, 8193, LARGEST_RECIPIENT_BYTES - 9, LARGEST_RECIPIENT_BYTES - 8, 70_000])
OBJECT = OBJECTS | LARGE.map(lambda size: {"a": "x" * size}) | LARGE.map(lambda size: {"a": "é" * (size // 2)})
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "idempotency_key": TEXTS | VALUES,
        "recipient": OBJECT | VALUES,
        "context": OBJECTS | VALUES,
        "priority": st.sampled_from([*LANES, "", "High", "urgent"]) | VALUES,
        "scheduled_at": MOMENTS | VALUES,
        "expires_at": MOMENTS | VALUES,
        "ttl_s": SECONDS | VALUES,
        "colour": VALUES,
    },
)
FINE = st.fixed_dictionaries(
    {"idempotency_key": st.text(min_size=1, max_size=255)},
    optional={
        "recipient": OBJECTS,
        "context": OBJECTS,
        "priority": st.sampled_from(LANES),
        "ttl_s": st.none() | st.integers(1, LONGEST_TTL_S),
    },
)


def by_serializer(asked: dict[str, Any]) -> Item | Any:
    """Return what the single call would take, or what it would say instead."""
    body = TriggerBodySerializer(data={"workflow": "known", **asked})
    if not body.is_valid():
        return said(body.errors)
    wanted = body.request()
    rest = (wanted.priority, wanted.scheduled_at, wanted.expires_at, wanted.ttl)
    return (wanted.idempotency_key, exact(wanted.recipient), exact(wanted.context), *rest)


def by_item(asked: Any) -> Item | Any:
    """Return the same of one of many."""
    try:
        item = item_from(asked)
    except ValidationError as error:
        detail: Any = error.detail
        return said(detail)
    return (item.idempotency_key, exact(json.loads(item.recipient)), exact(json.loads(item.context)), *item[3:])


def said(errors: Any) -> dict[str, Any]:
    return {name: [(each.code, str(each)) for each in found] for name, found in errors.items()}


def exact(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(ASKED | FINE)
@example({"idempotency_key": "k", "priority": "low", "ttl_s": None})
@example({"idempotency_key": "k", "ttl_s": 0})
@example({"idempotency_key": "k", "ttl_s": LONGEST_TTL_S + 1})
@example({"idempotency_key": "k", "ttl_s": True})
@example({"idempotency_key": "k", "ttl_s": 1.0})
@example({"idempotency_key": "a\x00b"})
@example({"idempotency_key": "k", "recipient": {"a": "x" * (LARGEST_RECIPIENT_BYTES - 7)}})
@example({"idempotency_key": "k", "expires_at": SOON, "ttl_s": 5, "scheduled_at": SOON})
@example({"idempotency_key": "k", "expires_at": "2026-03-05T09:00:00Z", "scheduled_at": SOON})
@settings(max_examples=500, deadline=None)
def test_an_item_is_what_the_serializer_takes_and_is_refused_in_its_words(asked: dict[str, Any]) -> None:
    assert by_item(asked) == by_serializer(asked)


@given(FINE)
@settings(max_examples=200, deadline=None)
def test_what_is_plain_never_needs_the_serializer(asked: dict[str, Any]) -> None:
    key = asked["idempotency_key"]

    assert (plain_item(asked) is None) == ("\x00" in key)


@pytest.mark.parametrize("character", ["x", "é", "🚀"])
def test_a_context_fits_to_the_byte(character: str) -> None:
    size = len(character.encode())
    frame = len(b'{"a":""}')
    most = (LARGEST_CONTEXT_BYTES - frame) // size
    filled = "y" * (LARGEST_CONTEXT_BYTES - frame - most * size)

    assert item_from({"idempotency_key": "k", "context": {"a": filled + character * most}})
    with pytest.raises(ValidationError) as refused:
        item_from({"idempotency_key": "k", "context": {"a": filled + character * most + "x"}})
    assert said(refused.value.detail) == {
        "context": [("context_too_large", f"The context is larger than {LARGEST_CONTEXT_BYTES} bytes.")]
    }


@pytest.mark.parametrize("asked", [None, True, 17, "x", []])
def test_what_is_no_object_is_refused_as_a_whole(asked: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        item_from(asked)
    assert refused.value.get_codes() == ["invalid"]
