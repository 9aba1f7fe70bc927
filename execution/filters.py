"""By what steps can be listed."""

import django_filters
from django.db.models import QuerySet

from execution.models import Step
from execution.states import StepStatus
from workflows.filters import of_workflow


class StepFilter(django_filters.FilterSet):
    """Filters of `GET steps/`; `workflow` is an id or a key."""

    workflow = django_filters.CharFilter(method="of_one_workflow")
    status = django_filters.ChoiceFilter(choices=[(s.value, s.value) for s in StepStatus])
    node_type = django_filters.CharFilter()

    class Meta:
        model = Step
        fields: list[str] = []

    def of_one_workflow(self, queryset: QuerySet[Step], name: str, value: str) -> QuerySet[Step]:
        """Keep the steps of one workflow."""
        return of_workflow(queryset, value)
