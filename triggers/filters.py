"""By what triggers can be listed."""

import django_filters
from django.db.models import QuerySet

from accounts.api_moments import MomentFilter
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.filters import of_workflow
from workflows.models import Workflow


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
