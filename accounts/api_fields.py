"""What the bodies of every call have in common: texts that are texts, and no field that nobody knows."""

import re
from typing import Any
from uuid import UUID

from rest_framework import serializers

# RFC 9562, section 4; Python's own reads `{...}` and `urn:uuid:...` too.
CANONICAL_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class TextField(serializers.CharField):
    """A text; DRF's own field takes 17 for "17"."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text. Raises ValidationError (`invalid`) for a value of another kind."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """true or false; DRF's own field takes "yes" and 1 for true."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the flag. Raises ValidationError (`invalid`) for a value of another kind."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class NumberField(serializers.IntegerField):
    """A whole number; DRF's own field takes "17" and true for numbers."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number. Raises ValidationError (`invalid`) for a value of another kind."""
        if isinstance(data, bool) or not isinstance(data, int | float) or data != int(data):
            self.fail("invalid")
        return super().to_internal_value(int(data))


class IdField(serializers.UUIDField):
    """An id; DRF's own field takes numbers for ids too."""

    def to_internal_value(self, data: Any) -> UUID:
        """Return the id. Raises ValidationError (`invalid`) for a value of another kind."""
        if not isinstance(data, str) or not CANONICAL_ID.fullmatch(data):
            self.fail("invalid", value=str(data)[:40])
        return super().to_internal_value(data)


def refuse_unknown_fields(serializer: serializers.Serializer[Any]) -> None:
    """Raise ValidationError (`unknown_field`) for each name in the body that is no field of the serializer."""
    unknown = sorted(set(serializer.initial_data) - set(serializer.fields))
    if unknown:
        raise serializers.ValidationError({name: ["There is no such field."] for name in unknown}, "unknown_field")
