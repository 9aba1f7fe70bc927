"""How a workflow's nodes are documented: one schema for each node type that is registered, so that none is left out."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent

from workflows.durations import LONGEST_DELAY
from workflows.node_parsing import LONGEST_TTL_S
from workflows.node_types import DELAY, MessageType, known_names, message_type
from workflows.nodes import OnDoubt, OnFailure, RetryPolicy
from workflows.retry_policies import LARGEST_FACTOR, LONGEST_INTERVAL_S, MOST_ATTEMPTS, PRESETS

NODE_ID = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$"}
LIQUID = {"type": "string", "description": "A Liquid template."}
SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_INTERVAL_S}


def retry_schema() -> dict[str, Any]:
    """Return what `retry` may hold: a preset's name, or growing pauses or fixed ones, not both."""
    standard = RetryPolicy()
    backoff = {
        "type": "object",
        "description": "The pause before the second attempt, how much longer each next one is, and the longest.",
        "properties": {
            "base_s": {**SECONDS, "default": standard.base.total_seconds()},
            "factor": {"type": "number", "minimum": 1, "maximum": LARGEST_FACTOR, "default": standard.factor},
            "cap_s": {**SECONDS, "default": standard.cap.total_seconds()},
        },
        "additionalProperties": False,
    }
    preset = {
        "type": "string",
        "enum": list(PRESETS),
        "description": "`none`: one attempt. `standard`: three, 2 and 4 seconds apart. `quick`: four, after 2, 4 and 8 "
        "seconds. `patient`: five, after 1, 5, 15 and 60 minutes.",
    }
    free_form = {
        "type": "object",
        "description": "When a transient failure is tried again: after `intervals_s`, or else by `backoff`.",
        "properties": {
            "max_attempts": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_ATTEMPTS,
                "default": standard.max_attempts,
            },
            "backoff": backoff,
            "intervals_s": {"type": "array", "items": SECONDS, "minItems": 1},
        },
        "not": {"required": ["backoff", "intervals_s"]},
        "additionalProperties": False,
    }
    return {"oneOf": [preset, free_form]}


def message_schema(kind: MessageType, *, retry: dict[str, str]) -> dict[str, Any]:
    """Return what a node of this type may hold."""
    properties: dict[str, Any] = {"id": NODE_ID, "type": {"type": "string", "enum": [kind.name]}}
    for field in kind.fields:
        properties[field.name] = LIQUID | ({} if field.default is None else {"default": field.default})
    properties["retry"] = retry
    properties["on_doubt"] = {
        "type": "string",
        "enum": [each.value for each in OnDoubt],
        "default": OnDoubt.RESEND.value,
        "description": "What becomes of a message when its worker died before it knew whether it was sent.",
    }
    properties["on_failure"] = {
        "type": "string",
        "enum": [each.value for each in OnFailure],
        "default": OnFailure.FAIL.value,
        "description": "What becomes of the workflow when the node fails for good: it ends, or it goes on along the "
        "edges whose `when` holds, which can name `steps.<id>.failed` and `steps.<id>.error.code`.",
    }
    properties["ttl_s"] = {
        "type": "number",
        "minimum": 1,
        "maximum": LONGEST_TTL_S,
        "description": "The message is dropped so many seconds after the node became ready.",
    }
    required = ["id", "type", *(field.name for field in kind.fields if field.is_required and field.default is None)]
    schema: dict[str, Any] = {
        "type": "object",
        "description": f"Sends one message by {kind.name}.",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    if kind.required_any:
        schema["allOf"] = [{"anyOf": [{"required": [name]} for name in sorted(any_of)]} for any_of in kind.required_any]
    return schema


def delay_schema() -> dict[str, Any]:
    """Return what a delay may hold: exactly one way to say how long."""
    return {
        "type": "object",
        "description": "Waits; exactly one of `delay_ms` and `duration` says how long.",
        "properties": {
            "id": NODE_ID,
            "type": {"type": "string", "enum": [DELAY]},
            "delay_ms": {
                "type": "integer",
                "minimum": 0,
                "maximum": int(LONGEST_DELAY.total_seconds() * 1000),
                "description": "Milliseconds.",
            },
            "duration": {
                "type": "string",
                "description": "ISO 8601, in weeks, days, hours, minutes and seconds: `PT24H`, `P7D`, `PT0.5S`.",
                "example": "PT24H",
            },
        },
        "required": ["id", "type"],
        "oneOf": [{"required": ["delay_ms"]}, {"required": ["duration"]}],
        "additionalProperties": False,
    }


class NodeExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # spectacular registers subclasses by an untyped hook
    """A node is one of its types; `type` says which."""

    target_class = "workflows.serializers.NodeSerializer"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the choice, having registered what there is to choose from."""
        retry = _component(auto_schema, "RetryPolicy", retry_schema())
        mapping = {}
        for name in known_names():
            kind = message_type(name)
            schema = delay_schema() if kind is None else message_schema(kind, retry=retry)
            mapping[name] = _component(auto_schema, f"{name.title().replace('_', '')}Node", schema)["$ref"]
        return {
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "type", "mapping": mapping},
        }


class RetryExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # spectacular registers subclasses by an untyped hook
    """A workflow's `retry` is what a node's may be."""

    target_class = "workflows.serializers.RetrySerializer"

    def map_serializer(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """Return the reference to the one schema."""
        return _component(auto_schema, "RetryPolicy", retry_schema())


def _component(auto_schema: Any, name: str, schema: dict[str, Any]) -> dict[str, str]:
    component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
    auto_schema.registry.register_on_missing(component)
    return component.ref
