"""Dead letters as the API shows them, and what it takes to decide about them."""

from typing import Any

from rest_framework import serializers
from rest_framework.reverse import reverse

from accounts.api_fields import FlagField, IdField, NumberField, TextField, refuse_unknown_fields
from accounts.api_moments import MomentField
from execution.dead_letter_deeds import LONGEST_REASON, MOST_PER_SECOND, PER_SECOND
from execution.dead_letters import Selection
from execution.failure_classes import FailureClass
from execution.models import DeadLetter, LetterState
from execution.redrive import MOST_AT_ONCE, WhichVersion
from execution.states import StepStatus
from triggers.states import TriggerStatus

# Of one node and its retries there are a few; a trigger that was redriven again and again has more.
MOST_STEPS_SHOWN = 200


class DeadLetterSerializer(serializers.ModelSerializer[DeadLetter]):
    """A dead letter; whom the message was for is shown masked."""

    trigger = serializers.UUIDField(source="trigger_id", read_only=True)
    workflow = serializers.UUIDField(source="workflow_id", read_only=True)
    workflow_key = serializers.CharField(source="workflow.key", read_only=True)
    workflow_version = serializers.IntegerField(source="trigger.version.number", read_only=True)
    idempotency_key = serializers.CharField(source="trigger.idempotency_key", read_only=True)
    failure_class = serializers.ChoiceField(choices=[c.value for c in FailureClass], read_only=True)
    state = serializers.ChoiceField(choices=[s.value for s in LetterState], read_only=True)

    class Meta:
        model = DeadLetter
        fields = [
            "id", "state", "trigger", "idempotency_key", "workflow", "workflow_key", "workflow_version", "node_id",
            "code", "failure_class", "message", "attempts", "destination", "first_failed_at", "last_failed_at",
            "redriven_at", "goes_on_at", "discarded_at", "discarded_by", "discard_reason",
        ]  # fmt: skip
        read_only_fields = fields


class LetterStepSerializer(serializers.Serializer[Any]):
    """A step of the trigger, told in short; `GET steps/{id}/` shows it whole."""

    id = serializers.UUIDField()
    node_id = serializers.CharField()
    attempt = serializers.IntegerField()
    status = serializers.ChoiceField(choices=[s.value for s in StepStatus])
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class LetterLinksSerializer(serializers.Serializer[Any]):
    """Where to read on."""

    trigger = serializers.CharField()
    steps = serializers.CharField()


class DeadLetterDetailSerializer(DeadLetterSerializer):
    """A dead letter with where its trigger stands now, and the trigger's newest steps, oldest first."""

    trigger_status = serializers.ChoiceField(
        source="trigger.status", choices=[s.value for s in TriggerStatus], read_only=True
    )
    links = serializers.SerializerMethodField()
    steps = serializers.SerializerMethodField()

    class Meta(DeadLetterSerializer.Meta):
        fields = [*DeadLetterSerializer.Meta.fields, "trigger_status", "links", "steps"]
        read_only_fields = fields

    def get_links(self, letter: DeadLetter) -> LetterLinksSerializer:
        """Return the paths of the trigger and of its steps."""
        kwargs = {"pk": letter.trigger_id}
        paths = {"trigger": reverse("trigger-detail", kwargs=kwargs), "steps": reverse("trigger-steps", kwargs=kwargs)}
        return LetterLinksSerializer(paths).data  # type: ignore[return-value]  # annotated for the schema

    def get_steps(self, letter: DeadLetter) -> LetterStepSerializer(many=True):  # type: ignore[valid-type]  # for the schema
        """Return the steps in short."""
        newest = letter.trigger.steps.order_by("-pk")[:MOST_STEPS_SHOWN]
        return LetterStepSerializer(reversed(newest), many=True).data


class GroupSerializer(serializers.Serializer[Any]):
    """Open dead letters that failed alike."""

    workflow = serializers.UUIDField(source="workflow_id")
    workflow_key = serializers.CharField()
    node_id = serializers.CharField()
    code = serializers.CharField()
    count = serializers.IntegerField()
    first_failed_at = serializers.DateTimeField()
    last_failed_at = serializers.DateTimeField()


class GroupingSerializer(serializers.Serializer[Any]):
    """What failed alike, most first; `counted` is the sum of the counts."""

    groups = GroupSerializer(many=True)
    counted = serializers.IntegerField()
    is_complete = serializers.BooleanField(
        help_text="False when there are more open dead letters, or more groups, than are counted here."
    )


class RedriveLetterSerializer(serializers.Serializer[Any]):
    """How to redrive one."""

    version = serializers.ChoiceField(
        choices=[v.value for v in WhichVersion],
        required=False,
        default=WhichVersion.PINNED.value,
        help_text="`pinned`: the version that the trigger started on; `newest`: its workflow's newest, where the run "
        "can go on there.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is unknown."""
        refuse_unknown_fields(self)
        return attrs


class ReasonSerializer(serializers.Serializer[Any]):
    """Why one is discarded."""

    reason = TextField(max_length=LONGEST_REASON)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is unknown."""
        refuse_unknown_fields(self)
        return attrs


class SelectionSerializer(serializers.Serializer[Any]):
    """Which open dead letters; at least one field, so that none is meant by oversight."""

    workflow = TextField(max_length=100, required=False, help_text="The workflow's id or key.")
    node = TextField(max_length=64, required=False)
    code = TextField(max_length=64, required=False)
    failed_after = MomentField(required=False)
    failed_before = MomentField(required=False)
    ids = serializers.ListField(child=IdField(), required=False, max_length=1000)
    dry_run = FlagField(required=False, default=False, help_text="Only count.")
    limit = NumberField(
        required=False, min_value=1, max_value=MOST_AT_ONCE, default=MOST_AT_ONCE, help_text="How many in this call."
    )
    after_id = IdField(
        required=False,
        help_text="The `last_id` of the call before: go on behind that trigger. It is no filter by itself.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a filter that names nothing, or something unknown."""
        refuse_unknown_fields(self)
        if _selection(attrs).is_empty:
            raise serializers.ValidationError(
                "Say which: workflow, node, code, failed_after, failed_before or ids.", "required"
            )
        return attrs

    @property
    def selection(self) -> Selection:
        """The valid body as a selection."""
        return _selection(self.validated_data)


class RedriveLettersSerializer(SelectionSerializer):
    """Which open dead letters to redrive, how fast, and on which version."""

    per_second = NumberField(
        required=False,
        min_value=1,
        max_value=MOST_PER_SECOND,
        default=PER_SECOND,
        help_text="How many of their triggers go on in each second, so that no provider is flooded.",
    )
    version = serializers.ChoiceField(
        choices=[v.value for v in WhichVersion], required=False, default=WhichVersion.PINNED.value
    )


class DiscardLettersSerializer(SelectionSerializer):
    """Which open dead letters to discard, and why."""

    reason = TextField(max_length=LONGEST_REASON)


class RefusedSerializer(serializers.Serializer[Any]):
    """How many were left as they were, for one reason."""

    code = serializers.CharField()
    count = serializers.IntegerField()


class LettersDoneSerializer(serializers.Serializer[Any]):
    """What was left to do and what one call did of it."""

    count = serializers.IntegerField(help_text="How many open ones the filter met when the call began.")
    remaining = serializers.IntegerField(help_text="How many of them lie behind `last_id`.")
    last_id = serializers.UUIDField(
        allow_null=True, help_text="The trigger that the call came to: give it as `after_id` while some remain."
    )
    refused = RefusedSerializer(many=True, help_text="Those that stayed open or were decided about meanwhile.")


class LettersRedrivenSerializer(LettersDoneSerializer):
    """What a redrive by filter did."""

    redriven = serializers.IntegerField()
    spread_until = serializers.DateTimeField(
        allow_null=True, help_text="When the last of them goes on; the next call's go on behind it."
    )


class LettersDiscardedSerializer(LettersDoneSerializer):
    """What a discard by filter did."""

    discarded = serializers.IntegerField()


def _selection(values: dict[str, Any]) -> Selection:
    ids = values.get("ids")
    return Selection(
        workflow=values.get("workflow"),
        node=values.get("node"),
        code=values.get("code"),
        failed_after=values.get("failed_after"),
        failed_before=values.get("failed_before"),
        ids=None if ids is None else tuple(ids),
    )
