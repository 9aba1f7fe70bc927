"""By what triggers can be listed."""

import django_filters

from triggers.models import Trigger, TriggerQuerySet
from triggers.states import TriggerStatus


class TriggerFilter(django_filters.FilterSet):
    """Filters of `GET triggers/`; `workflow` is an id or a key."""

    workflow = django_filters.CharFilter(method="of_workflow")
    status = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in TriggerStatus])
    idempotency_key = django_filters.CharFilter()
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Trigger
        fields: list[str] = []

    def of_workflow(self, queryset: TriggerQuerySet, name: str, value: str) -> TriggerQuerySet:
        """Keep the triggers of one workflow."""
        return queryset.of_workflow(value)
