"""Filters that lists of every room have in common."""

from typing import Any

import django_filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field


@extend_schema_field(OpenApiTypes.BOOL)
class YesOrNoFilter(django_filters.TypedChoiceFilter):
    """`true` or `false`; django-filter's own takes every other word for no wish at all."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[("true", "true"), ("false", "false")], coerce="true".__eq__, **kwargs)
