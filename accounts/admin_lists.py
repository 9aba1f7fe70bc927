"""Paging and filters for lists of any length: nothing here counts, sorts or compares more rows than it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from uuid import UUID

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property

# Two hundred pages; who looks for something further back narrows the list.
MOST_COUNTED = 10_000

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator


def count_up_to(rows: QuerySet[M], most: int) -> int:
    """Count the rows, but no more than `most`."""
    return rows.order_by().values("pk")[:most].count()


class BoundedPaginator(_Paginator):
    """Counts no further than MOST_COUNTED; a list that goes on says so in words and ends there."""

    template_name = "admin/accounts/bounded_pagination.html"

    @cached_property
    def _counted(self) -> int:
        return count_up_to(cast("QuerySet[Model]", self.object_list), MOST_COUNTED + 1)

    @property
    def count(self) -> int:
        """How many rows the pages hold."""
        return min(self._counted, MOST_COUNTED)

    @property
    def has_more(self) -> bool:
        """Whether there are more rows than the pages hold."""
        return self._counted > MOST_COUNTED


class ChoiceFilter(SimpleListFilter):
    """Keeps the rows whose column, named by `parameter_name`, holds one of `words` (value, what is shown)."""

    words: ClassVar[list[tuple[Any, str]]]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Return what can be chosen."""
        return [(shown, shown) for _, shown in self.words]

    def queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> QuerySet[M]:
        """Keep what was chosen; a word that is no choice keeps nothing."""
        if self.value() is None:
            return queryset
        values = [value for value, shown in self.words if shown == self.value()]
        return queryset.filter(**{str(self.parameter_name): values[0]}) if values else queryset.none()


class MadeWithin(SimpleListFilter):
    """Keeps the rows made lately. Ids are UUIDv7, so this is a range of the primary key and needs no other index."""

    title = "created"
    parameter_name = "created"
    SPANS = {
        "hour": ("In the past hour", timedelta(hours=1)),
        "day": ("In the past day", timedelta(days=1)),
        "week": ("In the past 7 days", timedelta(days=7)),
        "month": ("In the past 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Return what can be chosen."""
        return [(name, shown) for name, (shown, _) in self.SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> QuerySet[M]:
        """Keep what was made within the span chosen; a word that is no choice keeps nothing."""
        name = self.value()
        if name is None:
            return queryset
        if name not in self.SPANS:
            return queryset.none()
        return queryset.filter(pk__gte=first_id_at(timezone.now() - self.SPANS[name][1]))


def first_id_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 that can be made at `moment` (RFC 9562, section 5.7: 48 bits of milliseconds)."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)


class ExactFilter(SimpleListFilter):
    """Keeps the rows that hold exactly what is typed; `suggestions` helps with the typing."""

    template = "admin/accounts/exact_filter.html"
    hint: ClassVar[str] = ""

    def suggestions(self) -> list[str]:
        """Return what to offer while typing; few enough to send with the page."""
        return []

    def has_output(self) -> bool:
        """Show the filter, although there is nothing to choose from."""
        return True

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Iterable[tuple[str, str]]:
        """Return nothing: what is looked for is typed."""
        return []

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Give the template what it needs, with what else narrows the list now."""
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name != self.parameter_name
            for value in values
        ]
        yield {
            "name": self.parameter_name,
            "value": self.value() or "",
            "hint": self.hint,
            "suggestions": self.suggestions(),
            "others": others,
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> QuerySet[M]:
        """Keep the rows whose column, named by `parameter_name`, holds what was typed."""
        typed = (self.value() or "").strip()
        return queryset.filter(**{str(self.parameter_name): typed}) if typed else queryset
