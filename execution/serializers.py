"""Steps and what was done about triggers, as the API shows them."""

from typing import Any

from rest_framework import serializers

from accounts.api_fields import FlagField, IdField, TextField, refuse_unknown_fields
from accounts.api_moments import MomentField
from execution.doubts import is_in_doubt, prospect_of
from execution.models import Step
from execution.narration import step_sentence
from execution.states import StepStatus
from triggers.serializers import ObjectField, TriggerSerializer
from triggers.states import UNDER_WAY


class StepErrorSerializer(serializers.Serializer[Any]):
    """Why a step failed."""

    code = serializers.CharField()
    message = serializers.CharField()
    is_transient = serializers.BooleanField(help_text="Whether this kind of error passes by itself.")
    is_in_doubt = serializers.BooleanField(
        default=False,
        read_only=True,
        help_text="Whether the message may have been sent all the same, since no clear answer came: a time-out, "
        "a connection that broke once the message was under way, an answer that can't be read. False when it surely "
        "was not sent.",
    )


class StepSerializer(serializers.ModelSerializer[Step]):
    """A step of a trigger's log."""

    trigger = serializers.UUIDField(source="trigger_id", read_only=True)
    status = serializers.ChoiceField(choices=[s.value for s in StepStatus], read_only=True)
    output = ObjectField(read_only=True)
    error = StepErrorSerializer(read_only=True, allow_null=True)
    duration_ms = serializers.IntegerField(read_only=True, allow_null=True)
    explanation = serializers.SerializerMethodField(
        help_text="What the status means, where the word alone doesn't say it; in a trigger's log also what follows."
    )

    class Meta:
        model = Step
        fields = [
            "id", "trigger", "node_id", "node_type", "attempt", "status", "provider", "message_id", "output", "error",
            "started_at", "finished_at", "duration_ms", "explanation",
        ]  # fmt: skip
        read_only_fields = fields

    def get_explanation(self, step: Step) -> str:
        """Put the step into words."""
        is_told = is_in_doubt(step) and self.context.get("tells_prospects")
        return step_sentence(step, prospect_of(step) if is_told else None)


class CancellationSerializer(TriggerSerializer):
    """The canceled trigger: what was sent, what is being sent or in doubt at this moment, what never will be sent."""

    sent = StepSerializer(many=True, read_only=True)
    in_flight = StepSerializer(many=True, read_only=True)
    never = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="The nodes whose message was still to come."
    )

    class Meta(TriggerSerializer.Meta):
        fields = [*TriggerSerializer.Meta.fields, "sent", "in_flight", "never"]
        read_only_fields = fields


class CanceledCountSerializer(serializers.Serializer[Any]):
    """How many triggers a cancel by filter ended, or would end, and how many are left behind the last it looked at."""

    canceled = serializers.IntegerField(source="count")
    in_flight = serializers.IntegerField(
        help_text="Messages of these that are being sent at this moment, or whose outcome is in doubt."
    )
    remaining = serializers.IntegerField()
    last_id = serializers.UUIDField(allow_null=True, help_text="Give it as `after_id` while some remain.")


class CancelFilterSerializer(serializers.Serializer[Any]):
    """Which triggers under way to cancel; at least one of the fields that choose, so that none is by oversight."""

    CHOOSING = ("workflow", "created_after", "created_before", "ids")

    workflow = TextField(max_length=100, required=False, help_text="The workflow's id or key.")
    created_after = MomentField(required=False)
    created_before = MomentField(required=False)
    ids = serializers.ListField(child=IdField(), required=False, max_length=1000)
    statuses = serializers.ListField(
        child=serializers.ChoiceField(choices=[s.value for s in UNDER_WAY]),
        required=False,
        allow_empty=False,
        max_length=len(UNDER_WAY),
        help_text="Only those that stand so; by default all that are under way.",
    )
    after_id = IdField(
        required=False, help_text="The `last_id` of the call before: go on behind it. It is no filter by itself."
    )
    dry_run = FlagField(required=False, default=False, help_text="Count what would be canceled, and change nothing.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a filter that chooses nothing, or names something unknown."""
        refuse_unknown_fields(self)
        if not any(name in attrs for name in self.CHOOSING):
            raise serializers.ValidationError("Say which: workflow, created_after, created_before or ids.", "required")
        return attrs


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
