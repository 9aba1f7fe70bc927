"""Filtering lists by query parameters; a parameter that a list does not know is an error, not a surprise."""

from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.views import APIView

PAGING = {"cursor", "page_size", "format"}


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter's backend that refuses unknown parameters."""

    def filter_queryset(self, request: HttpRequest, queryset: QuerySet[Model], view: APIView) -> QuerySet[Any]:
        """Apply the view's filters. Raises ValidationError (400) for unknown parameters and bad values."""
        filterset_class = self.get_filterset_class(view, queryset)
        known = set(filterset_class.base_filters) if filterset_class else set()
        unknown = set(request.GET) - known - PAGING
        if unknown:
            message = f"There is no such parameter here; known are: {', '.join(sorted(known | PAGING))}."
            raise ValidationError({name: [message] for name in sorted(unknown)}, code="unknown_parameter")
        with_nul = sorted(name for name, values in request.GET.lists() if "\x00" in "".join(values))
        if with_nul:
            message = "A parameter can't hold the character NUL."
            raise ValidationError({name: [message] for name in with_nul}, code="invalid")
        # `?status=` of a program whose variable was empty would list everything.
        empty = sorted(name for name in known & set(request.GET) if "" in request.GET.getlist(name))
        if empty:
            raise ValidationError({name: ["A parameter that is given has a value."] for name in empty}, code="blank")
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered
