"""By what triggers can be listed."""

from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.fields import IsoDateTimeField
from rest_framework.exceptions import ValidationError

from triggers.models import Trigger
from triggers.serializers import MomentField
from triggers.states import TriggerStatus
from workflows.filters import of_workflow
from workflows.models import Workflow


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


class TriggerFilter(django_filters.FilterSet):
    """Filters of `GET triggers/`; `workflow` is an id or a key."""

    workflow = django_filters.CharFilter(method="of_one_workflow")
    status = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in TriggerStatus])
    idempotency_key = django_filters.CharFilter(method="with_idempotency_key")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Trigger
        fields: list[str] = []

    def of_one_workflow(self, queryset: QuerySet[Trigger], name: str, value: str) -> QuerySet[Trigger]:
        """Keep the triggers of one workflow."""
        return of_workflow(queryset, value)

    def with_idempotency_key(self, queryset: QuerySet[Trigger], name: str, value: str) -> QuerySet[Trigger]:
        """Keep the triggers with this key; the index of keys begins with the workflow, so all of those are named."""
        return queryset.filter(workflow_id__in=Workflow.objects.values("pk"), idempotency_key=value)
