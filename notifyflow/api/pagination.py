"""Cursors: pages that neither skip nor repeat while rows are added, and never count."""

from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

LARGEST_PAGE = 200
PAGE_SIZES = frozenset(str(size) for size in range(1, LARGEST_PAGE + 1))


class NewestFirst(CursorPagination):
    """Newest first, since ids are UUIDv7: their order is the order of making. `page_ordering` of a view wins."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = LARGEST_PAGE

    def get_ordering(self, request: Request, queryset: QuerySet[Model], view: APIView) -> tuple[str]:
        """Return the one column that pages are ordered by."""
        return (getattr(view, "page_ordering", self.ordering),)

    def get_page_size(self, request: Request) -> int | None:
        """Return how many rows a page shall have. Raises ValidationError (400) for another than a possible number."""
        wanted = request.query_params.get(self.page_size_query_param)
        if wanted is not None and wanted not in PAGE_SIZES:
            message = f"This must be a whole number from 1 to {LARGEST_PAGE}."
            raise ValidationError({self.page_size_query_param: [message]}, code="out_of_range")
        return super().get_page_size(request)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return the parameters for the documentation, with what they may be."""
        size = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": self.page_size}
        return [
            {
                "name": self.cursor_query_param,
                "in": "query",
                "required": False,
                "description": "Where a page begins, as `next` and `previous` have it.",
                "schema": {"type": "string"},
            },
            {
                "name": self.page_size_query_param,
                "in": "query",
                "required": False,
                "description": "How many rows a page has.",
                "schema": size,
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the form of a page for the documentation."""
        address = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "properties": {
                "next": {**address, "description": "The address of the page behind this one."},
                "previous": {**address, "description": "The address of the page before this one."},
                "results": schema,
            },
            "required": ["next", "previous", "results"],
        }

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor of the request. Raises NotFound (404) for one that this API has not made."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                UUID(str(cursor.position))
            except ValueError:
                raise NotFound(self.invalid_cursor_message) from None
        return cursor
