"""By what workflows can be listed."""

import django_filters

from workflows.models import Workflow


class WorkflowFilter(django_filters.FilterSet):
    """Filters of `GET workflows/`."""

    key = django_filters.CharFilter()
    is_active = django_filters.BooleanFilter()

    class Meta:
        model = Workflow
        fields: list[str] = []
