"""By what dead letters can be listed."""

import django_filters
from django.db.models import QuerySet

from accounts.api_moments import MomentFilter
from execution.models import DeadLetter, DeadLetterQuerySet, LetterState
from workflows.filters import of_workflow


class DeadLetterFilter(django_filters.FilterSet):
    """Filters of `GET dead-letters/`; `workflow` is an id or a key."""

    workflow = django_filters.CharFilter(method="of_one_workflow")
    node = django_filters.CharFilter(field_name="node_id")
    code = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(method="in_one_state", choices=[(s.value, s.value) for s in LetterState])
    failed_after = MomentFilter(field_name="last_failed_at", lookup_expr="gte")
    failed_before = MomentFilter(field_name="last_failed_at", lookup_expr="lt")

    class Meta:
        model = DeadLetter
        fields: list[str] = []

    def of_one_workflow(self, letters: QuerySet[DeadLetter], name: str, value: str) -> QuerySet[DeadLetter]:
        """Keep the dead letters of one workflow."""
        return of_workflow(letters, value)

    def in_one_state(self, letters: DeadLetterQuerySet, name: str, value: str) -> QuerySet[DeadLetter]:
        """Keep those that stand so."""
        return letters.in_state(LetterState(value))
