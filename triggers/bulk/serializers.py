"""What goes along with many triggers, and what is answered; the triggers themselves are read by `items`."""

from typing import Any

from rest_framework import serializers

from accounts.api_fields import TextField
from triggers.bulk.items import ItemSerializer
from triggers.models import BulkUpload
from triggers.serializers import LONGEST_KEY
from triggers.states import UploadState

MOST_TRIGGERS = 10_000
# A bulk counts as one request for each so many triggers begun, against the caller's limit.
TRIGGERS_A_REQUEST = 100


class BulkHeadSerializer(serializers.Serializer[Any]):
    """What a body says beside its triggers."""

    workflow = TextField(max_length=100, help_text="The workflow's id or key.")


class BulkItemSerializer(ItemSerializer):
    """One trigger of many. It documents that a key is required, which its parent says in words of its own."""

    idempotency_key = TextField(max_length=LONGEST_KEY, trim_whitespace=False)


class BulkBodySerializer(BulkHeadSerializer):
    """What an operator's system sends to trigger a workflow for many people. It documents; `body` reads."""

    triggers = serializers.ListField(child=BulkItemSerializer(), min_length=1, max_length=MOST_TRIGGERS)


class BulkItemAcceptedSerializer(serializers.Serializer[Any]):
    """A trigger that stands."""

    idempotency_key = serializers.CharField()
    id = serializers.UUIDField()
    created = serializers.BooleanField(help_text="Whether this request made it; else it stood already.")


class BulkAcceptedSerializer(serializers.Serializer[Any]):
    """What has become of the triggers, in the order asked for."""

    created = serializers.IntegerField()
    existing = serializers.IntegerField()
    triggers = BulkItemAcceptedSerializer(many=True)


class LineErrorSerializer(serializers.Serializer[Any]):
    """What is wrong with a line."""

    line = serializers.IntegerField(min_value=1)
    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True, help_text="Where in the line; null for the whole of it.")


class BulkUploadSerializer(serializers.ModelSerializer[BulkUpload]):
    """An upload, and how far it has got."""

    workflow = serializers.UUIDField(source="workflow_id")
    workflow_key = serializers.CharField(source="workflow.key")
    state = serializers.ChoiceField(choices=[s.value for s in UploadState], source="state_now")
    errors = LineErrorSerializer(  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute
        many=True, help_text="What is wrong with the lines that were refused: the first hundred faults."
    )

    class Meta:
        model = BulkUpload
        fields = [
            "id", "workflow", "workflow_key", "actor", "request_id", "state", "reason", "lines_read", "created",
            "existing", "rejected", "errors", "started_at", "updated_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields
