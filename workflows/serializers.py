"""Workflows as the API shows and takes them; every fault of a body is reported at once."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from accounts.api_fields import TextField
from workflows.definition import FIELDS, parse_definition
from workflows.faults import DefinitionInvalid, Fault
from workflows.keys import KEY, is_workflow_id
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import LANES, Priority
from workflows.services import WorkflowDraft, is_key_taken, with_defaults


def fault_details(faults: tuple[Fault, ...]) -> dict[str, list[ErrorDetail]]:
    """Return faults in the form of a ValidationError: the path is the key."""
    details: dict[str, list[ErrorDetail]] = {}
    for fault in faults:
        details.setdefault(fault.path, []).append(ErrorDetail(fault.message, fault.code))
    return details


def definition_details(definition: dict[str, Any]) -> dict[str, list[ErrorDetail]]:
    """Return everything wrong with a definition, or nothing."""
    try:
        parse_definition(definition)
    except DefinitionInvalid as error:
        return fault_details(error.faults)
    return {}


class RetrySerializer(serializers.Serializer[Any]):
    """When a transient failure is tried again (`notifyflow.api` documents it, `workflows.retry_policies` reads it)."""


class NodeSerializer(serializers.Serializer[Any]):
    """A node of any type (for the documentation)."""

    id = serializers.RegexField(r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    type = serializers.CharField()
    to = serializers.CharField(required=False)
    subject = serializers.CharField(required=False)
    body = serializers.CharField(required=False)
    html_body = serializers.CharField(required=False)
    delay_ms = serializers.IntegerField(required=False, min_value=0)
    duration = serializers.CharField(required=False)
    retry = RetrySerializer(required=False)
    on_doubt = serializers.ChoiceField(choices=["resend", "hold"], required=False)
    on_failure = serializers.ChoiceField(choices=["fail", "continue"], required=False)
    ttl_s = serializers.FloatField(required=False, min_value=1)


class EdgeSerializer(serializers.Serializer[Any]):
    """From one node to the next, perhaps under a condition."""

    to = serializers.CharField()
    when = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, help_text="What could stand in `{% if ... %}`."
    )

    # What an answer may leave out, for the documentation.
    SOMETIMES = frozenset({"when"})

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add `from`, which can't be written as an attribute."""
        return {"from": serializers.CharField(), **super().get_fields()}


class WorkflowBodySerializer(serializers.Serializer[Workflow]):
    """A workflow as it is sent."""

    # The definition's fields are here for the documentation; `parse_definition` reads them.
    key = TextField(max_length=100, required=False)
    name = TextField(max_length=200)
    priority = serializers.ChoiceField(choices=LANES, default=Priority.MEDIUM.lane)
    entry_node_id = serializers.CharField()
    nodes = NodeSerializer(many=True)
    edges = EdgeSerializer(many=True, required=False)
    strict_variables = serializers.BooleanField(required=False)
    retry = RetrySerializer(required=False, help_text="The policy of each message node that names none.")

    # Shown but not taken: a body that was read can be changed and sent back as it is.
    READ_ONLY = frozenset({"id", "is_active", "version", "created_at", "updated_at"})

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Check everything in one pass: DRF's fields, unknown ones, and the definition as a whole."""
        if not isinstance(data, Mapping):
            raise ValidationError({"non_field_errors": ["The body must be a JSON object."]}, code="invalid")
        errors: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for name in ("key", "name", "priority"):
            self._read(name, data, values, errors)
        for name in sorted(data.keys() - self.fields.keys() - self.READ_ONLY):
            errors[name] = [ErrorDetail("There is no such field.", "unknown_field")]
        definition = {name: data[name] for name in FIELDS if name in data}
        if self.partial:
            definition = {**self.context["definition"], **definition}
        errors |= definition_details(definition)
        if errors:
            raise ValidationError(errors)
        return {**values, "definition": definition}

    def _read(self, name: str, data: Mapping[str, Any], values: dict[str, Any], errors: dict[str, Any]) -> None:
        field = self.fields[name]
        if name not in data:
            if field.required and not self.partial:
                errors[name] = [ErrorDetail("This field is required.", "required")]
            return
        try:
            values[name] = field.run_validation(data[name])
            if name == "key":
                self._check_key(values[name])
        except ValidationError as error:
            errors[name] = error.detail

    def _check_key(self, key: str) -> None:
        if self.instance is not None and key != self.instance.key:
            raise ValidationError("A workflow's key can't be changed.", code="immutable")
        if not KEY.fullmatch(key) or is_workflow_id(key):
            raise ValidationError(
                "A key is made of a-z, 0-9, `-` and `_`, starts and ends with a letter or digit, and is not an id.",
                code="invalid_key",
            )
        if self.instance is None and is_key_taken(key):
            raise ValidationError("This key is taken.", code="key_taken")

    def draft(self, *, before: WorkflowDraft | None = None) -> WorkflowDraft:
        """Return the valid body as a draft; what a partial body leaves out stays as `before` has it."""
        values = self.validated_data
        lane = values.get("priority") or (before.priority.lane if before and self.partial else Priority.MEDIUM.lane)
        return WorkflowDraft(
            key=values.get("key", ""),
            name=values.get("name") or (before.name if before else ""),
            priority=Priority.of_lane(lane),
            definition=values["definition"],
        )


class WorkflowSerializer(serializers.ModelSerializer[Workflow]):
    """A workflow with the definition of its current version."""

    priority = serializers.ChoiceField(choices=LANES, source="lane", read_only=True)
    entry_node_id = serializers.CharField(read_only=True)
    nodes = NodeSerializer(many=True, read_only=True)
    edges = EdgeSerializer(many=True, read_only=True)
    strict_variables = serializers.BooleanField(read_only=True)
    retry = RetrySerializer(
        read_only=True, help_text="The policy of each message node that names none, if one was given."
    )

    # What an answer may leave out, for the documentation.
    SOMETIMES = frozenset({"retry"})

    class Meta:
        model = Workflow
        fields = [
            "id", "key", "name", "priority", "is_active", "version", "entry_node_id", "nodes", "edges",
            "strict_variables", "retry", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: Workflow) -> dict[str, Any]:
        """Show the definition as it was given, with what may be left out."""
        definition = with_defaults(self.context["definitions"][instance.pk])
        return {
            "id": str(instance.pk),
            "key": instance.key,
            "name": instance.name,
            "priority": Priority(instance.priority).lane,
            "is_active": instance.is_active,
            "version": instance.version,
            "entry_node_id": definition["entry_node_id"],
            "nodes": definition["nodes"],
            "edges": definition["edges"],
            "strict_variables": definition["strict_variables"],
            **({"retry": definition["retry"]} if "retry" in definition else {}),
            "created_at": self.fields["created_at"].to_representation(instance.created_at),
            "updated_at": self.fields["updated_at"].to_representation(instance.updated_at),
        }


class VersionSerializer(serializers.ModelSerializer[WorkflowVersion]):
    """One version of a workflow."""

    version = serializers.IntegerField(source="number", read_only=True)

    class Meta:
        model = WorkflowVersion
        fields = ["version", "definition", "created_at"]


class FaultSerializer(serializers.Serializer[Any]):
    """One thing wrong with a definition."""

    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True)


class ValidationResultSerializer(serializers.Serializer[Any]):
    """Whether a body would be accepted, and what is wrong with it."""

    valid = serializers.BooleanField()
    errors = FaultSerializer(many=True)  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute
