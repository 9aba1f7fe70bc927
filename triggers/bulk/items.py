"""One trigger of many, as a client writes it: what TriggerBodySerializer takes, checked at a small part of its price.

What is plainly valid is taken by hand. Everything else goes through the serializer itself, which has the last word and
the words for what is wrong, so that a trigger is the same, and is refused the same way, whichever way it comes.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from rest_framework.exceptions import ErrorDetail, ValidationError

from triggers.serializers import (
    LARGEST_CONTEXT_BYTES,
    LARGEST_RECIPIENT_BYTES,
    LONGEST_KEY,
    LONGEST_TTL_S,
    TriggerBodySerializer,
    encoded_size,
)
from workflows.priorities import Priority

PRIORITIES = {priority.lane: priority for priority in Priority}
NO_OBJECT: dict[str, Any] = {}
# What is anywhere near a limit goes by the serializer's own count: it writes some numbers longer.
NEAR = 2


class Item(NamedTuple):
    """A valid trigger of one workflow; `recipient` and `context` are JSON already."""

    idempotency_key: str
    recipient: bytes
    context: bytes
    priority: Priority | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    ttl: timedelta | None = None


class ItemSerializer(TriggerBodySerializer):
    """One trigger of many: as `POST triggers/` takes it, without the workflow, which is the same for all."""

    workflow = None  # type: ignore[assignment]  # how DRF takes a field out of a subclass


KNOWN = frozenset(ItemSerializer().fields)
# Those that are checked by hand; a trigger with others goes through the serializer.
PLAIN = frozenset({"idempotency_key", "recipient", "context", "priority", "ttl_s"})


def item_from(value: Any) -> Item:
    """Return what a client wrote as an item. Raises ValidationError with all that is wrong."""
    return plain_item(value) or _serialized(value)


def plain_item(value: Any) -> Item | None:
    """Return the item when it is plainly valid, None when only the serializer can tell."""
    if type(value) is not dict or not value.keys() <= PLAIN:
        return None
    key = value.get("idempotency_key")
    recipient, context = value.get("recipient", NO_OBJECT), value.get("context", NO_OBJECT)
    if type(key) is not str or not 0 < len(key) <= LONGEST_KEY or "\x00" in key:
        return None
    if type(recipient) is not dict or type(context) is not dict:
        return None
    recipient_json, context_json = msgspec.json.encode(recipient), msgspec.json.encode(context)
    if len(recipient_json) * NEAR > LARGEST_RECIPIENT_BYTES or len(context_json) * NEAR > LARGEST_CONTEXT_BYTES:
        return None
    item = Item(key, recipient_json, context_json)
    return _with_more(item, value) if "priority" in value or "ttl_s" in value else item


def _with_more(item: Item, value: dict[str, Any]) -> Item | None:
    lane, seconds = value.get("priority", "medium"), value.get("ttl_s")
    if type(lane) is not str or lane not in PRIORITIES:
        return None
    if seconds is not None and (type(seconds) is not int or not 1 <= seconds <= LONGEST_TTL_S):
        return None
    return item._replace(
        priority=PRIORITIES[lane] if "priority" in value else None,
        ttl=None if seconds is None else timedelta(seconds=seconds),
    )


def _serialized(value: Any) -> Item:
    if not isinstance(value, dict):
        raise ValidationError([ErrorDetail("This must be a JSON object.", "invalid")])
    serializer = ItemSerializer(data=value)
    errors = {} if serializer.is_valid() else dict(serializer.errors)
    context = value.get("context")
    if isinstance(context, dict) and encoded_size(context) > LARGEST_CONTEXT_BYTES:
        message = f"The context is larger than {LARGEST_CONTEXT_BYTES} bytes."
        errors["context"] = [ErrorDetail(message, "context_too_large")]
    if errors:
        raise ValidationError(errors)
    wanted = serializer.validated_data
    seconds = wanted.get("ttl_s")
    return Item(
        wanted["idempotency_key"],
        msgspec.json.encode(wanted.get("recipient", NO_OBJECT)),
        msgspec.json.encode(wanted.get("context", NO_OBJECT)),
        PRIORITIES.get(wanted.get("priority")),
        wanted.get("scheduled_at"),
        wanted.get("expires_at"),
        None if seconds is None else timedelta(seconds=seconds),
    )
