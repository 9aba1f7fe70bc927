"""Cursors: pages that neither skip nor repeat while rows are added, and never count."""

from uuid import UUID

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView


class NewestFirst(CursorPagination):
    """Newest first, since ids are UUIDv7: their order is the order of making. `page_ordering` of a view wins."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_ordering(self, request: Request, queryset: QuerySet[Model], view: APIView) -> tuple[str]:
        """Return the one column that pages are ordered by."""
        return (getattr(view, "page_ordering", self.ordering),)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor of the request. Raises NotFound (404) for one that this API has not made."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                UUID(str(cursor.position))
            except ValueError:
                raise NotFound(self.invalid_cursor_message) from None
        return cursor
