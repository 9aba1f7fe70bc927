"""By what workflows can be listed, and how other lists are narrowed to one of them."""

from typing import Any, TypeVar
from uuid import UUID

import django_filters
from django.db.models import Model, QuerySet

from accounts.api_filters import YesOrNoFilter
from workflows.keys import is_workflow_id
from workflows.models import Workflow

M = TypeVar("M", bound=Model)


class WorkflowFilter(django_filters.FilterSet):
    """Filters of `GET workflows/`."""

    key = django_filters.CharFilter()
    is_active = YesOrNoFilter()

    class Meta:
        model = Workflow
        fields: list[str] = []


def of_workflow(rows: QuerySet[M], name: str) -> QuerySet[M]:
    """Keep the rows of the workflow with this id or key, deleted or not.

    A key is looked up first: with the id itself the database reads along the rows' index, newest first.
    """
    workflow_id: Any = (
        UUID(name) if is_workflow_id(name) else Workflow.objects.filter(key=name).values_list("pk", flat=True).first()
    )
    return rows.none() if workflow_id is None else rows.filter(workflow_id=workflow_id)
