"""Triggers as the API shows and takes them."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.api_fields import NumberField, TextField
from accounts.api_moments import MomentField
from triggers.acceptance import TriggerRequest
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.durations import LONGEST_DELAY
from workflows.priorities import LANES, Priority

LARGEST_CONTEXT_BYTES = 256 * 1024
LARGEST_RECIPIENT_BYTES = 32 * 1024
LONGEST_WORKFLOW = 100
LONGEST_KEY = 255
LONGEST_TTL_S = int(LONGEST_DELAY.total_seconds())


def not_too_far(moment: datetime) -> None:
    """Raise ValidationError for a moment beyond the longest delay."""
    if moment > timezone.now() + LONGEST_DELAY:
        raise ValidationError(f"This is more than {LONGEST_DELAY.days} days ahead.", code="too_far")


def check_expiry(values: dict[str, Any]) -> None:
    """Raise ValidationError unless the body says in one way when it expires, and begins before that."""
    expires_at, scheduled_at = values.get("expires_at"), values.get("scheduled_at")
    if expires_at is not None and values.get("ttl_s") is not None:
        message = "Give `expires_at` or `ttl_s`, not both."
        raise ValidationError({"ttl_s": [ErrorDetail(message, "contradiction")]})
    if expires_at is not None and scheduled_at is not None and expires_at <= scheduled_at:
        message = "This must be after `scheduled_at`."
        raise ValidationError({"expires_at": [ErrorDetail(message, "not_after_schedule")]})


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.Field[Any, Any, Any, Any]):
    """A JSON object, kept as it is, up to a size."""

    def __init__(self, *, largest: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.largest = largest

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object. Raises ValidationError for other values and for what is too large."""
        if not isinstance(data, dict):
            raise ValidationError("This must be a JSON object.", code="invalid")
        if self.largest is not None and encoded_size(data) > self.largest:
            raise ValidationError(f"This is larger than {self.largest} bytes.", code="too_large")
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the object as it is."""
        return value


def encoded_size(value: object) -> int:
    """Return how many bytes a value takes as compact JSON in UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


class TriggerBodySerializer(serializers.Serializer[Trigger]):
    """What an operator's system sends to trigger a workflow for a person."""

    workflow = TextField(max_length=LONGEST_WORKFLOW, help_text="The workflow's id or key.")
    idempotency_key = TextField(
        max_length=LONGEST_KEY,
        trim_whitespace=False,
        required=False,
        help_text="May come as the header Idempotency-Key instead.",
    )
    recipient = ObjectField(required=False, largest=LARGEST_RECIPIENT_BYTES)
    # Its size is the view's to check, since it answers 413.
    context = ObjectField(required=False)  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute
    priority = serializers.ChoiceField(choices=LANES, required=False)
    scheduled_at = MomentField(required=False, allow_null=True, validators=[not_too_far])
    expires_at = MomentField(
        required=False,
        allow_null=True,
        validators=[not_too_far],
        help_text="From then on nothing more is sent: the trigger ends as failed, with the code `expired`. After "
        "`scheduled_at`. A moment that has passed is taken too, so that a repeated request gets the same answer.",
    )
    ttl_s = NumberField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=LONGEST_TTL_S,
        help_text="The same in seconds, counted from when the trigger is accepted, or from `scheduled_at` when that is "
        "later. Give one of the two.",
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Read the body. Unknown fields are refused together with everything else that is wrong."""
        if not isinstance(data, Mapping):
            raise ValidationError({"non_field_errors": ["The body must be a JSON object."]}, code="invalid")
        errors: dict[str, Any] = {
            name: [ErrorDetail("There is no such field.", "unknown_field")]
            for name in sorted(data.keys() - self.fields.keys())
        }
        header: str | None = self._context.get("idempotency_key")
        if header is not None and not header.strip():
            # Some servers drop a value that is not ASCII and leave the name: whose key it was can't be told any more.
            message = "The header Idempotency-Key is empty. It holds ASCII only: give another key in the body."
            errors["idempotency_key"] = [ErrorDetail(message, "blank")]
        elif header and not header.isascii():
            # It came as bytes of some encoding: the same key in a body would be another one.
            message = "A header holds ASCII only; give this key in the body."
            errors["idempotency_key"] = [ErrorDetail(message, "not_ascii")]
        elif header:
            if data.get("idempotency_key", header) != header:
                message = "The header Idempotency-Key says otherwise."
                errors["idempotency_key"] = [ErrorDetail(message, "contradiction")]
            data = {**data, "idempotency_key": header}
        elif "idempotency_key" not in data:
            errors["idempotency_key"] = [ErrorDetail("This field is required.", "required")]
        try:
            values: dict[str, Any] = super().to_internal_value(data)
            check_expiry(values)
        except ValidationError as error:
            found: Any = error.detail
            raise ValidationError({**found, **errors}) from None
        if errors:
            raise ValidationError(errors)
        return values

    def request(self) -> TriggerRequest:
        """Return the valid body as a request."""
        values = self.validated_data
        lane = values.get("priority")
        return TriggerRequest(
            workflow=values["workflow"],
            idempotency_key=values["idempotency_key"],
            recipient=values.get("recipient", {}),
            context=values.get("context", {}),
            priority=Priority.of_lane(lane) if lane else None,
            scheduled_at=values.get("scheduled_at"),
            expires_at=values.get("expires_at"),
            ttl=timedelta(seconds=values["ttl_s"]) if values.get("ttl_s") is not None else None,
        )


class ErrorSerializer(serializers.Serializer[Any]):
    """Why a trigger failed, or why its latest attempt did."""

    code = serializers.CharField()
    message = serializers.CharField()
    node_id = serializers.CharField()
    is_transient = serializers.BooleanField()


class TriggerSerializer(serializers.ModelSerializer[Trigger]):
    """A trigger."""

    workflow = serializers.UUIDField(source="workflow_id", read_only=True)
    workflow_key = serializers.CharField(source="workflow.key", read_only=True)
    workflow_version = serializers.IntegerField(source="version.number", read_only=True)
    status = serializers.ChoiceField(choices=[s.value for s in TriggerStatus], read_only=True)
    priority = serializers.ChoiceField(choices=LANES, source="lane", read_only=True)
    recipient = ObjectField(read_only=True)
    context = ObjectField(read_only=True)  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute
    error = ErrorSerializer(read_only=True, allow_null=True)
    failed_nodes = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        help_text="The nodes that failed while the workflow went on (`on_failure: continue`).",
    )

    class Meta:
        model = Trigger
        fields = [
            "id", "workflow", "workflow_key", "workflow_version", "idempotency_key", "status", "current_node_id",
            "last_step_status", "attempts", "available_at", "scheduled_at", "expires_at", "priority", "recipient",
            "context", "error", "failed_nodes", "created_at", "updated_at", "completed_at",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: Trigger) -> dict[str, Any]:
        """Show a trigger."""
        return self.shown(instance)

    @staticmethod
    def shown(instance: Trigger) -> dict[str, Any]:
        """Return what an answer shows; written out, because DRF's way makes twenty-one field objects for each."""
        return {
            "id": str(instance.pk),
            "workflow": str(instance.workflow_id),
            "workflow_key": instance.workflow.key,
            "workflow_version": instance.version.number,
            "idempotency_key": instance.idempotency_key,
            "status": instance.status,
            "current_node_id": instance.current_node_id,
            "last_step_status": instance.last_step_status,
            "attempts": instance.attempts,
            "available_at": instance.available_at,
            "scheduled_at": instance.scheduled_at,
            "expires_at": instance.expires_at,
            "priority": instance.lane,
            "recipient": instance.recipient,
            "context": instance.context,
            "error": instance.error,
            "failed_nodes": instance.failed_nodes,
            "created_at": instance.created_at,
            "updated_at": instance.updated_at,
            "completed_at": instance.completed_at,
        }
