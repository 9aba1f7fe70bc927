"""What the bodies of every call have in common: texts that are texts, and no field that nobody knows."""

from typing import Any

from rest_framework import serializers


class TextField(serializers.CharField):
    """A text; DRF's own field takes 17 for "17"."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text. Raises ValidationError (`invalid`) for a value of another kind."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


def refuse_unknown_fields(serializer: serializers.Serializer[Any]) -> None:
    """Raise ValidationError (`unknown_field`) for each name in the body that is no field of the serializer."""
    unknown = sorted(set(serializer.initial_data) - set(serializer.fields))
    if unknown:
        raise serializers.ValidationError({name: ["There is no such field."] for name in unknown}, "unknown_field")
