"""The filter by workflow, for every list whose rows belong to one."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from accounts.admin_lists import ExactFilter
from workflows.models import Workflow

MOST_SUGGESTIONS = 200

M = TypeVar("M", bound=Model)


class WorkflowFilter(ExactFilter):
    """Keeps the rows of the workflow with this key or id, deleted or not.

    Suggested are the keys of the newest workflows. unfold's own autocomplete would ask the workflows' pages, which a
    trigger operator may not see.
    """

    title = "workflow"
    parameter_name = "workflow"
    hint = "key or id"

    def suggestions(self) -> list[str]:
        """Return the keys of the newest workflows."""
        return list(Workflow.objects.present().order_by("-pk").values_list("key", flat=True)[:MOST_SUGGESTIONS])

    def queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> QuerySet[M]:
        """Keep the workflow's rows; an unknown one has none."""
        typed = (self.value() or "").strip()
        if not typed:
            return queryset
        return queryset.filter(**self._within(typed))

    def _within(self, typed: str) -> dict[str, Any]:
        """Return the condition on the foreign key, by id, so that the index on it serves."""
        found = Workflow.objects.named(typed).values_list("pk", flat=True).first()
        return {"workflow_id": found} if found else {"pk__in": []}
