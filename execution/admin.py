"""Where people see what did happen: steps. Triggers and dead letters have their own modules (`admin_triggers`, ...)."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin_base import ReadOnlyAdmin, may
from accounts.admin_lists import ChoiceFilter, ExactFilter, MadeWithin
from accounts.admin_texts import at, badge, code
from accounts.roles import Capability
from execution.admin_dead_letters import DeadLetterAdmin
from execution.admin_triggers import TriggerAdmin, step_context
from execution.models import Step
from execution.narration import STEP_KINDS, duration
from execution.states import StepStatus
from workflows.admin_filters import WorkflowFilter
from workflows.keys import is_workflow_id
from workflows.node_types import known_names

__all__ = ["DeadLetterAdmin", "StepAdmin", "TriggerAdmin"]

READERS = frozenset({Capability.READ_STEPS})

admin.site.index_title = "Overview"
admin.site.index_template = "admin/execution/dashboard.html"


class StepStatusFilter(ChoiceFilter):
    """By status."""

    title = "status"
    parameter_name = "status"
    words = [(status.value, status.value) for status in StepStatus]


class NodeTypeFilter(ExactFilter):
    """By the node's type; suggested are those that there are now."""

    title = "node type"
    parameter_name = "node_type"
    hint = "email, sms, delay, ..."

    def suggestions(self) -> list[str]:
        """Return the node types there are."""
        return list(known_names())


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin[Step]):
    """The execution log over all triggers, newest first; also for those who may not see the triggers."""

    readable_with = READERS
    change_form_template = "admin/execution/step.html"
    list_display = (
        "started", "node", "node_type", "attempt", "shown_status", "workflow_key", "provider", "took", "problem",
    )  # fmt: skip
    list_filter = (StepStatusFilter, NodeTypeFilter, WorkflowFilter, MadeWithin)
    list_select_related = ("workflow",)
    # Only to have the box shown; `get_search_results` looks things up itself.
    search_fields = ("trigger",)
    search_help_text = "Id of a trigger, or of a step"
    sortable_by = ()
    ordering = ("-pk",)
    fields = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        """Return the steps without their outputs; the page of one fetches its own."""
        return super().get_queryset(request).defer("output")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Step], search_term: str
    ) -> tuple[QuerySet[Step], bool]:
        """Find the steps of a trigger, or one step, by id."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return (queryset.filter(Q(trigger=term) | Q(pk=term)) if is_workflow_id(term) else queryset.none()), False

    @admin.display(description="Started")
    def started(self, step: Step) -> str:
        """Show when it began."""
        return at(step.started_at)

    @admin.display(description="Node")
    def node(self, step: Step) -> SafeString:
        """Show the node."""
        return code(step.node_id)

    @admin.display(description="Status")
    def shown_status(self, step: Step) -> SafeString:
        """Show the status in its colour."""
        return badge(step.status, STEP_KINDS[StepStatus(step.status)])

    @admin.display(description="Workflow")
    def workflow_key(self, step: Step) -> str:
        """Show the workflow by its key."""
        return step.workflow.key

    @admin.display(description="Took")
    def took(self, step: Step) -> str:
        """Show how long it took."""
        return duration(step, now=timezone.now()) or "-"

    @admin.display(description="Error")
    def problem(self, step: Step) -> str:
        """Show the error's code."""
        return str(step.error["code"]) if step.error else "-"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the step, and the way to the others of its trigger."""
        step = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if step is not None:
            shown = {
                "title": f"{step.node_id}, attempt {step.attempt}",
                "subtitle": None,
                "entry": step_context(step),
                "may_see_trigger": may(request, Capability.MANAGE_TRIGGERS),
            }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
