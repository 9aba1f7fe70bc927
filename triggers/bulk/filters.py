"""By what uploads can be listed."""

import django_filters
from django.db.models import QuerySet

from triggers.models import BulkUpload
from workflows.filters import of_workflow


class BulkUploadFilter(django_filters.FilterSet):
    """Filters of `GET triggers/bulk/`; `workflow` is an id or a key."""

    workflow = django_filters.CharFilter(method="of_one_workflow")
    request_id = django_filters.CharFilter()

    class Meta:
        model = BulkUpload
        fields: list[str] = []

    def of_one_workflow(self, queryset: QuerySet[BulkUpload], name: str, value: str) -> QuerySet[BulkUpload]:
        """Keep the uploads for one workflow."""
        return of_workflow(queryset, value)
