"""Previews as the API takes and shows them."""

from typing import Any

from rest_framework import serializers

from accounts.api_fields import FlagField, TextField, refuse_unknown_fields

LONGEST_SOURCE = 64 * 1024


class PreviewSerializer(serializers.Serializer[Any]):
    """A template and what it is rendered with."""

    source = TextField(max_length=LONGEST_SOURCE, allow_blank=True, trim_whitespace=False)  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute
    context = serializers.DictField(required=False)  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute
    strict_variables = FlagField(default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is not a field."""
        refuse_unknown_fields(self)
        return attrs


class PreviewResultSerializer(serializers.Serializer[Any]):
    """What the template says, and which variables it missed."""

    text = serializers.CharField()
    missing_variables = serializers.ListField(child=serializers.CharField())
