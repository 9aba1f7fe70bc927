"""How a trigger's log is paged."""

from rest_framework.pagination import CursorPagination


class OldestFirst(CursorPagination):
    """In the order things happened; ids are UUIDv7, so their order is the order of making."""

    ordering = "id"
    page_size_query_param = "page_size"
    max_page_size = 200
