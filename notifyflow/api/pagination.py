"""Cursors: pages that neither skip nor repeat while rows are added, and never count."""

from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """Newest first; ids are UUIDv7, so their order is the order of making."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 200
