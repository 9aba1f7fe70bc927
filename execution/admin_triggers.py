"""Where operators see triggers and repair them. It lives here, above `triggers`, since it shows steps and moves things.

Nothing of a trigger can be edited: cancel and redrive are the only moves, and both are services.
"""

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin_actions import Question, confirmation_page, confirmed, list_of
from accounts.admin_base import ReadOnlyAdmin, may
from accounts.admin_lists import ChoiceFilter, MadeWithin
from accounts.admin_texts import at, at_and_how_far, badge, code, how_far, pretty_json
from accounts.roles import Capability
from execution.admin_cancel import cancel_by_filter_page
from execution.admin_commands import cancel_many, cancel_one, redrive_many, redrive_one
from execution.admin_letter_forms import offered
from execution.admin_trigger_choice import choice_of_list, named
from execution.doubts import is_in_doubt, prospect_of
from execution.models import DeadLetter, Step
from execution.narration import (
    STEP_KINDS,
    TRIGGER_KINDS,
    duration,
    next_sentence,
    step_sentence,
    trouble,
)
from execution.states import StepStatus
from triggers.models import Trigger, TriggerQuerySet
from triggers.states import FINISHED, TriggerStatus
from workflows.admin_filters import WorkflowFilter
from workflows.drawing import draw
from workflows.keys import is_workflow_id
from workflows.node_types import DELAY
from workflows.priorities import CHOICES
from workflows.words import icon_of

OPERATORS = frozenset({Capability.MANAGE_TRIGGERS})
# A page holds 50; who posts more has not used the page.
MOST_AT_ONCE = 100
# A trigger's steps are bounded by its nodes and their attempts; the page shows the newest when they are many.
MOST_STEPS_SHOWN = 500

CANCEL = Question(
    title="Cancel this trigger?",
    text="It ends now and nothing more of it is sent. What was sent already stays sent. This can't be undone.",
    submit="Cancel the trigger",
    is_grave=True,
)
REDRIVE = Question(
    title="Redrive this trigger?",
    text="It goes on from the node that failed, with all its attempts. What was sent is not sent again, but a message "
    "whose outcome is unknown is: look it up at the provider first.",
    submit="Redrive",
)


class StatusFilter(ChoiceFilter):
    """By status."""

    title = "status"
    parameter_name = "status"
    words = [(status.value, status.value) for status in TriggerStatus]


class PriorityFilter(ChoiceFilter):
    """By lane."""

    title = "priority"
    parameter_name = "priority"
    words = CHOICES


@admin.register(Trigger)
class TriggerAdmin(ReadOnlyAdmin[Trigger]):
    """Triggers: find one, see what happened to it and what happens next, cancel or redrive it."""

    readable_with = OPERATORS
    change_form_template = "admin/execution/trigger.html"
    list_display = ("shown_key", "workflow_key", "shown_status", "node", "attempts", "due", "created")
    list_filter = (StatusFilter, WorkflowFilter, PriorityFilter, MadeWithin)
    list_select_related = ("workflow",)
    # Only to have the box shown; `get_search_results` looks things up itself.
    search_fields = ("idempotency_key",)
    search_help_text = "Whole idempotency key, or id"
    sortable_by = ()
    ordering = ("-pk",)
    actions = ("cancel_selected", "redrive_selected")
    actions_list = ("cancel_by_filter",)
    actions_detail = ("cancel", "redrive")
    fields = ()

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether triggers may be canceled and redriven."""
        return may(request, Capability.MANAGE_TRIGGERS)

    # --- the list: newest first, along the primary key, without the JSON columns ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trigger]:
        """Return the triggers without their bodies; the page of one fetches its own."""
        return Trigger.objects.without_bodies().defer("error")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Trigger], search_term: str
    ) -> tuple[QuerySet[Trigger], bool]:
        """Find a trigger by its id or its whole idempotency key, each along an index."""
        term = search_term.strip()
        triggers = cast("TriggerQuerySet", queryset)
        return (named(triggers, term) if term else triggers), False

    @admin.display(description="Idempotency key")
    def shown_key(self, trigger: Trigger) -> SafeString:
        """Show the key that the client gave."""
        return code(trigger.idempotency_key)

    @admin.display(description="Workflow")
    def workflow_key(self, trigger: Trigger) -> str:
        """Show the workflow by its key."""
        return trigger.workflow.key

    @admin.display(description="Status")
    def shown_status(self, trigger: Trigger) -> SafeString:
        """Show the status in its colour, and whether nodes failed on the way."""
        return status_badges(trigger)

    @admin.display(description="Node", empty_value="-")
    def node(self, trigger: Trigger) -> SafeString:
        """Show where it is."""
        return code(trigger.current_node_id)

    @admin.display(description="Due")
    def due(self, trigger: Trigger) -> str:
        """Show when it is due, while it is waiting."""
        return how_far(trigger.available_at, now=timezone.now()) if trigger.status == TriggerStatus.ENQUEUED else "-"

    @admin.display(description="Created")
    def created(self, trigger: Trigger) -> str:
        """Show when it was accepted."""
        return at(trigger.created_at)

    @admin.action(description="Cancel the selected triggers", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, triggers: QuerySet[Trigger]) -> TemplateResponse | None:
        """Ask, then cancel."""
        selected = list(triggers[:MOST_AT_ONCE])
        if "confirmed" not in request.POST:
            question = Question(f"Cancel {len(selected)} trigger(s)?", CANCEL.text, "Cancel them", is_grave=True)
            return self._ask(request, question, selected)
        self._log(request, cancel_many(request, [trigger.pk for trigger in selected]), "Canceled.")
        return None

    @admin.action(description="Redrive the selected triggers", permissions=["operate"])
    def redrive_selected(self, request: HttpRequest, triggers: QuerySet[Trigger]) -> TemplateResponse | None:
        """Ask, then redrive."""
        selected = list(triggers[:MOST_AT_ONCE])
        if "confirmed" not in request.POST:
            return self._ask(
                request, Question(f"Redrive {len(selected)} trigger(s)?", REDRIVE.text, "Redrive"), selected
            )
        self._log(request, redrive_many(request, [trigger.pk for trigger in selected]), "Redriven.")
        return None

    # --- all that a filter meets ---

    @offered("Cancel by filter...", icon="cancel", is_grave=True)
    def cancel_by_filter(self, request: HttpRequest) -> HttpResponse:
        """Show which a filter meets, then cancel them."""
        return cancel_by_filter_page(self, request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list; its button for a cancel by filter leads on with what narrows the list now.

        A page that asks for a confirmation of what was selected comes this way too, and has no buttons.
        """
        answer = super().changelist_view(request, extra_context)
        if isinstance(answer, TemplateResponse) and answer.context_data is not None:
            query = urlencode(choice_of_list(request.GET))
            for button in answer.context_data.get("actions_list", ()):
                button["path"] += f"?{query}" if query else ""
        return answer

    # --- the page of one ---

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Trigger | None:
        """Return the trigger with its bodies, its workflow and version."""
        if not is_workflow_id(object_id):
            return None
        return Trigger.objects.select_related("workflow", "version").filter(pk=object_id).first()

    @confirmed(CANCEL, permission="operate", icon="cancel")
    def cancel(self, request: HttpRequest, trigger: Trigger) -> None:
        """End the trigger."""
        if cancel_one(request, trigger.pk):
            self.log_change(request, trigger, "Canceled.")

    @confirmed(REDRIVE, permission="operate", icon="replay")
    def redrive(self, request: HttpRequest, trigger: Trigger) -> None:
        """Continue the trigger from the node that failed."""
        if redrive_one(request, trigger.pk):
            self.log_change(request, trigger, "Redriven.")

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer what the trigger's status allows."""
        offered: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]  # unfold's
        trigger = self.get_object(request, object_id)
        fitting = set()
        if trigger and trigger.status == TriggerStatus.FAILED:
            fitting.add("triggers_trigger_redrive")
        if trigger and trigger.status not in FINISHED:
            fitting.add("triggers_trigger_cancel")
        return [action for action in offered if action.action_name in fitting]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the trigger: what happens next, what happened, what it carries."""
        trigger = self.get_object(request, object_id)
        shown = (
            {}
            if trigger is None
            else {
                **trigger_context(trigger, may_see_workflows=may(request, Capability.MANAGE_WORKFLOWS)),
                "may_see_audit": may(request, Capability.READ_AUDIT),
            }
        )
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def _ask(self, request: HttpRequest, question: Question, selected: Sequence[Trigger]) -> TemplateResponse:
        fields = [("action", request.POST["action"]), ("confirmed", "yes")]
        fields += [(helpers.ACTION_CHECKBOX_NAME, str(trigger.pk)) for trigger in selected]
        return confirmation_page(
            self,
            request,
            question,
            back_to=list_of(Trigger),
            fields=tuple(fields),
            subjects=tuple(f"{trigger.idempotency_key} ({trigger.status})" for trigger in selected),
        )

    def _log(self, request: HttpRequest, triggers: Sequence[Trigger], message: str) -> None:
        for trigger in triggers:
            self.log_change(request, trigger, message)


def status_badges(trigger: Trigger) -> SafeString:
    """Return the status in its colour, and how many nodes failed while the workflow went on."""
    status = badge(trigger.status, TRIGGER_KINDS[TriggerStatus(trigger.status)])
    if not trigger.failed_nodes:
        return status
    return status + badge(f"{len(trigger.failed_nodes)} failed on the way", STEP_KINDS[StepStatus.FAILED])


def trigger_context(trigger: Trigger, *, may_see_workflows: bool) -> dict[str, Any]:
    """Return what the template of a trigger's page needs."""
    now = timezone.now()
    newest = list(trigger.steps.order_by("-pk")[: MOST_STEPS_SHOWN + 1])
    steps = newest[:MOST_STEPS_SHOWN][::-1]
    is_over = trigger.status in FINISHED
    marks = {step.node_id: step.status for step in steps}
    # What failed and is tried again comes next, whatever its latest step says.
    if not is_over and marks.get(trigger.current_node_id) not in (StepStatus.RUNNING, StepStatus.WAITING):
        marks[trigger.current_node_id] = "next"
    return {
        "title": trigger.idempotency_key,
        "subtitle": None,
        "trigger": trigger,
        "status": status_badges(trigger),
        "next": next_sentence(trigger, steps, now=now),
        "trouble": trouble(trigger.error, is_final=trigger.status == TriggerStatus.FAILED),
        "moments": _moments(trigger),
        "letters": list(DeadLetter.objects.filter(trigger=trigger)),
        "steps": [step_context(step) for step in steps],
        "has_more_steps": len(newest) > MOST_STEPS_SHOWN,
        "drawing": draw(trigger.version.definition, marks),
        "recipient": pretty_json(trigger.recipient),
        "context": pretty_json(trigger.context),
        "may_see_workflows": may_see_workflows and trigger.workflow.deleted_at is None,
    }


def step_context(step: Step) -> dict[str, Any]:
    """Return what the template of a timeline needs of a step."""
    return {
        "step": step,
        "icon": icon_of(step.node_type),
        "kind": STEP_KINDS[StepStatus(step.status)] or "plain",
        "sentence": step_sentence(step, prospect_of(step) if is_in_doubt(step) else None),
        "trouble": trouble(step.error, is_final=False),
        "started": at(step.started_at),
        "duration": duration(step, now=timezone.now()),
        "output": pretty_json(step.output) if step.output and step.node_type != DELAY else "",
    }


def _moments(trigger: Trigger) -> list[tuple[str, str]]:
    now = timezone.now()
    found = [
        ("Accepted", trigger.created_at),
        ("Scheduled for", trigger.scheduled_at),
        ("Not sent after", trigger.expires_at),
        ("Available at", trigger.available_at if trigger.status not in FINISHED else None),
        ("Lease ends", trigger.lease_expires_at),
        ("Last moved", trigger.updated_at),
        ("Ended", trigger.completed_at),
    ]
    return [(name, at_and_how_far(moment, now=now)) for name, moment in found if moment is not None]
