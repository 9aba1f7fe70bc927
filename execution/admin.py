"""Where people see what did happen: steps and dead letters; triggers have their own module, `admin_triggers`."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import helpers
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin_actions import Question, confirmation_page, confirmed, list_of, page_of
from accounts.admin_base import ReadOnlyAdmin, may
from accounts.admin_lists import ChoiceFilter, ExactFilter, MadeWithin
from accounts.admin_texts import at, badge, code, excerpt, link
from accounts.roles import Capability
from execution.admin_commands import redrive_many, redrive_one
from execution.admin_triggers import MOST_AT_ONCE, OPERATORS, REDRIVE, TriggerAdmin, step_context
from execution.dead_letter_groups import MOST_GROUPED, open_groups
from execution.models import DeadLetter, Step
from execution.narration import STEP_KINDS, duration, trouble
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


class OpenFilter(ChoiceFilter):
    """By whether somebody redrove it."""

    title = "state"
    parameter_name = "redriven_at__isnull"
    words = [(True, "open"), (False, "redriven")]


class CodeFilter(ExactFilter):
    """By the error's code."""

    title = "code"
    parameter_name = "code"


class NodeFilter(ExactFilter):
    """By node."""

    title = "node"
    parameter_name = "node_id"


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin[DeadLetter]):
    """What failed for good and waits for a person; redriven in one go, once the cause is mended."""

    readable_with = OPERATORS
    change_form_template = "admin/execution/dead_letter.html"
    list_before_template = "admin/execution/dead_letter_groups.html"
    list_display = ("trigger_key", "node_id", "code", "problem", "attempts", "failed", "state")
    list_filter = (OpenFilter, CodeFilter, NodeFilter, MadeWithin)
    list_select_related = ("trigger",)
    sortable_by = ("node_id", "code")
    ordering = ("-pk",)
    actions = ("redrive_selected",)
    actions_detail = ("redrive",)
    fields = ()

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether triggers may be redriven."""
        return may(request, Capability.MANAGE_TRIGGERS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Return the dead letters with little of their triggers."""
        bodies = [f"trigger__{name}" for name in ("recipient", "context", "run_state", "error")]
        return super().get_queryset(request).select_related("trigger").defer(*bodies)

    @admin.display(description="Trigger")
    def trigger_key(self, letter: DeadLetter) -> SafeString:
        """Show the trigger by its idempotency key."""
        return code(letter.trigger.idempotency_key)

    @admin.display(description="Why")
    def problem(self, letter: DeadLetter) -> str:
        """Show the beginning of the error's message."""
        return excerpt(letter.message, 80)

    @admin.display(description="Failed")
    def failed(self, letter: DeadLetter) -> str:
        """Show when it failed for good."""
        return at(letter.last_failed_at)

    @admin.display(description="State")
    def state(self, letter: DeadLetter) -> SafeString:
        """Show whether somebody redrove it."""
        return badge("open", "bad") if letter.redriven_at is None else badge("redriven", "good")

    @admin.action(description="Redrive the selected", permissions=["operate"])
    def redrive_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> TemplateResponse | None:
        """Ask, then redrive."""
        selected = list(letters[:MOST_AT_ONCE])
        if "confirmed" not in request.POST:
            fields = [("action", request.POST["action"]), ("confirmed", "yes")]
            fields += [(helpers.ACTION_CHECKBOX_NAME, str(letter.pk)) for letter in selected]
            return confirmation_page(
                self,
                request,
                Question(f"Redrive {len(selected)} trigger(s)?", REDRIVE.text, "Redrive"),
                back_to=list_of(DeadLetter),
                fields=tuple(fields),
                subjects=tuple(f"{letter.trigger.idempotency_key}: {letter}" for letter in selected),
            )
        redriven = {trigger.pk for trigger in redrive_many(request, [letter.trigger_id for letter in selected])}
        for letter in selected:
            if letter.trigger_id in redriven:
                self.log_change(request, letter, "Redriven.")
        return None

    @confirmed(REDRIVE, permission="operate", icon="replay")
    def redrive(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Continue the trigger from the node that failed."""
        if redrive_one(request, letter.trigger_id):
            self.log_change(request, letter, "Redriven.")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer a redrive while the letter is open."""
        letter = self.get_object(request, object_id)
        is_open = letter is not None and letter.redriven_at is None
        return super().get_actions_detail(request, object_id) if is_open else []  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, below a table of what failed alike."""
        return super().changelist_view(
            request, {"groups": open_groups(), "most": MOST_GROUPED, **(extra_context or {})}
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the dead letter, and the way to its trigger."""
        letter = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if letter is not None:
            error = {"code": letter.code, "message": letter.message, "is_transient": letter.is_transient}
            shown = {
                "title": str(letter),
                "subtitle": None,
                "state": self.state(letter),
                "trouble": trouble(error, is_final=True),
                "trigger_link": link(page_of(letter.trigger), letter.trigger.idempotency_key),
                "failed": (at(letter.first_failed_at), at(letter.last_failed_at)),
                "redriven": at(letter.redriven_at) if letter.redriven_at else "",
            }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
