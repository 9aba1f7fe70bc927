"""Moments in bodies and queries: RFC 3339, always with their offset, kept in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import Model, QuerySet
from django_filters.fields import IsoDateTimeField
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from accounts.admin_lists import first_id_at

# RFC 3339, section 5.6; the offset is optional here only so that its absence can be told apart.
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,6})?(Z|z|[+-]\d\d:\d\d)?")

# A row's id and its moment are taken one after the other, on machines whose clocks differ a little.
SLACK = timedelta(minutes=1)
# What the 48 bits of milliseconds of a UUIDv7 and a datetime can both hold, with the slack on either side.
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class MomentField(serializers.DateTimeField):
    """A moment as RFC 3339 has it: with its offset, since a time without one means different moments."""

    def to_internal_value(self, value: Any) -> datetime:
        """Return the moment in UTC. Raises ValidationError without an offset, and for years that UTC has not."""
        found = MOMENT.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValidationError("This is not a time as in 2026-03-05T09:00:00Z.", code="invalid")
        if found[1] is None:
            raise ValidationError(
                "Give the offset from UTC, as in 2026-03-05T09:00:00Z or ...+01:00.", code="no_offset"
            )
        moment: datetime = super().to_internal_value(value.upper())
        return moment


class MomentFormField(IsoDateTimeField):
    """A moment in a query, read as bodies have it: with its offset, and kept in UTC."""

    def to_python(self, value: Any) -> datetime | None:
        """Return the moment in UTC. Raises django's ValidationError with the codes of MomentField."""
        if value in self.empty_values:
            return None
        try:
            moment: datetime = MomentField().run_validation(value)
        except ValidationError as error:
            details: Any = error.detail
            raise forms.ValidationError([forms.ValidationError(each, code=each.code) for each in details]) from None
        return moment


class MomentFilter(django_filters.IsoDateTimeFilter):
    """Compares with a moment."""

    field_class = MomentFormField


class MadeAfter(MomentFilter):
    """Keeps the rows of a moment and later. Ids are UUIDv7, so this is a range of the primary key too."""

    def filter(self, qs: QuerySet[Model], value: datetime | None) -> QuerySet[Model]:
        """Keep the rows whose column is not before `value`."""
        kept: QuerySet[Model] = super().filter(qs, value)
        return kept if value is None else kept.filter(pk__gte=_id_near(value, -SLACK))


class MadeBefore(MomentFilter):
    """Keeps the rows before a moment. Ids are UUIDv7, so this is a range of the primary key too."""

    def filter(self, qs: QuerySet[Model], value: datetime | None) -> QuerySet[Model]:
        """Keep the rows whose column is before `value`."""
        kept: QuerySet[Model] = super().filter(qs, value)
        return kept if value is None else kept.filter(pk__lt=_id_near(value, SLACK))


def _id_near(moment: datetime, distance: timedelta) -> UUID:
    return first_id_at(min(max(moment, EARLIEST), LATEST) + distance)
