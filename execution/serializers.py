"""Steps and what was done about triggers, as the API shows them."""

from typing import Any

from rest_framework import serializers

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
    """How many triggers a redrive by filter took up, and how many failed ones it left."""

    redriven = serializers.IntegerField()
    remaining = serializers.IntegerField()


class RedriveFilterSerializer(serializers.Serializer[Any]):
    """Which failed triggers to redrive; at least one field, so that none is redriven by oversight."""

    workflow = serializers.CharField(max_length=100, required=False, help_text="The workflow's id or key.")
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)
    ids = serializers.ListField(child=serializers.UUIDField(), required=False, max_length=1000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a filter that names nothing, or something unknown."""
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError({name: ["There is no such field."] for name in unknown}, "unknown_field")
        if not attrs:
            raise serializers.ValidationError("Say which: workflow, created_after, created_before or ids.", "required")
        return attrs
