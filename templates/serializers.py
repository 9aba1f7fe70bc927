"""Previews as the API takes and shows them."""

from typing import Any

from rest_framework import serializers

LONGEST_SOURCE = 64 * 1024


class PreviewSerializer(serializers.Serializer[Any]):
    """A template and what it is rendered with."""

    source = serializers.CharField(max_length=LONGEST_SOURCE, allow_blank=True, trim_whitespace=False)
    context = serializers.DictField(required=False)
    strict_variables = serializers.BooleanField(default=False)


class PreviewResultSerializer(serializers.Serializer[Any]):
    """What the template says, and which variables it missed."""

    text = serializers.CharField()
    missing_variables = serializers.ListField(child=serializers.CharField())
