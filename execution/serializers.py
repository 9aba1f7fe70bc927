"""Steps and what was done about triggers, as the API shows them."""

from typing import Any

from rest_framework import serializers

from accounts.api_fields import IdField, TextField, refuse_unknown_fields
from accounts.api_moments import MomentField
from execution.models import Step
from execution.states import StepStatus
from triggers.serializers import ObjectField, TriggerSerializer


class StepErrorSerializer(serializers.Serializer[Any]):
    """Why a step failed."""

    code = serializers.CharField()
    message = serializers.CharField()
    is_transient = serializers.BooleanField()


class StepSerializer(serializers.ModelSerializer[Step]):
    """A step of a trigger's log."""

    trigger = serializers.UUIDField(source="trigger_id", read_only=True)
    status = serializers.ChoiceField(choices=[s.value for s in StepStatus], read_only=True)
    output = ObjectField(read_only=True)
    error = StepErrorSerializer(read_only=True, allow_null=True)
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True)

    class Meta:
        model = Step
        fields = [
            "id", "trigger", "node_id", "node_type", "attempt", "status", "provider", "message_id", "output", "error",
            "started_at", "finished_at", "duration_ms",
        ]  # fmt: skip
        read_only_fields = fields


class CancellationSerializer(TriggerSerializer):
    """The canceled trigger, with what was already sent and what is being sent at this moment."""

    sent = StepSerializer(many=True, read_only=True)
    in_flight = StepSerializer(many=True, read_only=True)

    class Meta(TriggerSerializer.Meta):
        fields = [*TriggerSerializer.Meta.fields, "sent", "in_flight"]
        read_only_fields = fields


class RedriveCountSerializer(serializers.Serializer[Any]):
    """How many triggers a redrive by filter took up, how many failed ones are left behind the last it looked at."""

    redriven = serializers.IntegerField(source="count")
    remaining = serializers.IntegerField()
    last_id = serializers.UUIDField(allow_null=True, help_text="Give it as `after_id` while some remain.")


class RedriveFilterSerializer(serializers.Serializer[Any]):
    """Which failed triggers to redrive; at least one field, so that none is redriven by oversight."""

    workflow = TextField(max_length=100, required=False, help_text="The workflow's id or key.")
    created_after = MomentField(required=False)
    created_before = MomentField(required=False)
    ids = serializers.ListField(child=IdField(), required=False, max_length=1000)
    after_id = IdField(
        required=False, help_text="The `last_id` of the call before: go on behind it. It is no filter by itself."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a filter that names nothing, or something unknown."""
        refuse_unknown_fields(self)
        if not attrs.keys() - {"after_id"}:
            raise serializers.ValidationError("Say which: workflow, created_after, created_before or ids.", "required")
        return attrs
