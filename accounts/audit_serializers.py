"""Audit entries as the API shows them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.audit import Action, Via
from accounts.models import AuditEntry


class AuditActorSerializer(serializers.Serializer[Any]):
    """Who did it, as they were called then and with the role they had."""

    id = serializers.UUIDField(source="actor_id", allow_null=True, help_text="Null for a command on the server.")
    name = serializers.CharField(source="actor")
    role = serializers.CharField()


class AuditObjectSerializer(serializers.Serializer[Any]):
    """What it was done to."""

    type = serializers.CharField(source="object_type")
    id = serializers.UUIDField(source="object_id", allow_null=True)
    name = serializers.CharField(source="object_name")


@extend_schema_field({"type": "object", "additionalProperties": True})
class ChangesField(serializers.JSONField):
    """`{field: [before, after]}`, or the facts of a deed that changes no field."""


class AuditEntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """An entry of the audit trail."""

    actor = AuditActorSerializer(source="*", read_only=True)
    via = serializers.ChoiceField(choices=[via.value for via in Via], read_only=True)
    api_key_prefix = serializers.CharField(source="key_prefix", read_only=True)
    action = serializers.ChoiceField(choices=[action.value for action in Action], read_only=True)
    object = AuditObjectSerializer(source="*", read_only=True)
    changes = ChangesField(read_only=True)

    class Meta:
        model = AuditEntry
        fields = [
            "id", "at", "actor", "via", "api_key_prefix", "action", "object", "changes", "request_id", "address",
        ]  # fmt: skip
        read_only_fields = fields
