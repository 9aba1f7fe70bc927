"""Where operators see what failed for good, and decide about it: redrive or discard, one, some, or all of a kind."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin_actions import Question, confirmation_page, confirmed, list_of, page_of
from accounts.admin_base import ReadOnlyAdmin, may
from accounts.admin_lists import ChoiceFilter, ExactFilter, MadeWithin
from accounts.admin_texts import at, badge, code, link
from accounts.roles import Capability
from execution.admin_commands import discard_many_letters, redrive_many_letters, redrive_one_letter
from execution.admin_letter_filters import discard_by_filter_page, redrive_by_filter_page
from execution.admin_letter_forms import ReasonForm, deed_page, listed, offered
from execution.admin_triggers import MOST_AT_ONCE, OPERATORS, REDRIVE
from execution.dead_letter_groups import MOST_GROUPED, open_groups
from execution.letter_story import letter_story
from execution.models import DeadLetter, LetterState
from execution.narration import trouble
from execution.redrive import WhichVersion
from workflows.admin_filters import WorkflowFilter

KINDS = {LetterState.OPEN: "bad", LetterState.REDRIVEN: "good", LetterState.DISCARDED: ""}
# The newest steps of the trigger that a letter's page lists.
MOST_STEPS_SHOWN = 50

REDRIVE_ON_NEWEST = Question(
    title="Redrive this trigger on the newest version?",
    text="It leaves the version that it started on and goes on from the node that failed, as the newest has it. That "
    "is refused when a node that it has reached is gone there, or has other edges or another type. What was sent is "
    "not sent again, but a message whose outcome is unknown is: look it up at the provider first.",
    submit="Redrive on the newest version",
)
DISCARD = Question(
    title="Discard this dead letter?",
    text="It is closed and its trigger stays failed: nothing more of it is sent. The reason is kept, with your name. "
    "This can't be undone.",
    submit="Discard",
    is_grave=True,
)


class StateFilter(ChoiceFilter):
    """By what a person decided, if one did."""

    title = "state"
    parameter_name = "state"
    words = [(state, state.value) for state in LetterState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what was chosen; a word that is no choice keeps nothing."""
        if self.value() is None:
            return queryset
        states = [state for state in LetterState if state.value == self.value()]
        letters: Any = queryset
        kept: QuerySet[Any] = letters.in_state(states[0]) if states else letters.none()
        return kept


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
    list_display = (
        "trigger_key", "workflow_key", "node_id", "code", "failure_class", "shown_destination", "attempts", "failed",
        "shown_state",
    )  # fmt: skip
    list_filter = (StateFilter, WorkflowFilter, CodeFilter, NodeFilter, MadeWithin)
    list_select_related = ("trigger", "workflow")
    sortable_by = ("node_id", "code")
    ordering = ("-pk",)
    actions = ("redrive_selected", "redrive_selected_on_newest", "discard_selected")
    actions_list = ("redrive_by_filter", "discard_by_filter")
    actions_detail = ("redrive", "redrive_on_newest", "discard")
    fields = ()

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether dead letters may be decided about."""
        return may(request, Capability.MANAGE_TRIGGERS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        """Return the dead letters with little of their triggers."""
        bodies = [f"trigger__{name}" for name in ("recipient", "context", "run_state", "error")]
        return super().get_queryset(request).select_related("trigger", "workflow").defer(*bodies)

    # --- the list ---

    @admin.display(description="Trigger")
    def trigger_key(self, letter: DeadLetter) -> SafeString:
        """Show the trigger by its idempotency key."""
        return code(letter.trigger.idempotency_key)

    @admin.display(description="Workflow")
    def workflow_key(self, letter: DeadLetter) -> str:
        """Show the workflow by its key."""
        return letter.workflow.key

    @admin.display(description="For")
    def shown_destination(self, letter: DeadLetter) -> str:
        """Show whom the message was for, masked."""
        return letter.destination or "-"

    @admin.display(description="Failed")
    def failed(self, letter: DeadLetter) -> str:
        """Show when it failed for good."""
        return at(letter.last_failed_at)

    @admin.display(description="State")
    def shown_state(self, letter: DeadLetter) -> SafeString:
        """Show what somebody decided."""
        return badge(letter.state, KINDS[letter.state])

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, below a table of what failed alike."""
        return super().changelist_view(
            request, {"groups": open_groups(), "most": MOST_GROUPED, **(extra_context or {})}
        )

    # --- some, chosen in the list ---

    @admin.action(description="Redrive the selected", permissions=["operate"])
    def redrive_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> TemplateResponse | None:
        """Ask, then redrive."""
        return self._redrive(request, letters, REDRIVE.text, version=WhichVersion.PINNED)

    @admin.action(description="Redrive the selected on the newest version", permissions=["operate"])
    def redrive_selected_on_newest(
        self, request: HttpRequest, letters: QuerySet[DeadLetter]
    ) -> TemplateResponse | None:
        """Ask, then redrive on the newest version."""
        return self._redrive(request, letters, REDRIVE_ON_NEWEST.text, version=WhichVersion.NEWEST)

    @admin.action(description="Discard the selected", permissions=["operate"])
    def discard_selected(self, request: HttpRequest, letters: QuerySet[DeadLetter]) -> TemplateResponse | None:
        """Ask for the reason, then discard."""
        selected = list(letters[:MOST_AT_ONCE])
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            question = Question(f"Discard {len(selected)} dead letter(s)?", DISCARD.text, DISCARD.submit, is_grave=True)
            return deed_page(
                self, request, question, form, fields=_chosen(request, selected), subjects=listed(selected)
            )
        self._log(
            request,
            selected,
            discard_many_letters(request, [letter.pk for letter in selected], reason=form.cleaned_data["reason"]),
            "Discarded.",
        )
        return None

    def _redrive(
        self, request: HttpRequest, letters: QuerySet[DeadLetter], text: str, *, version: WhichVersion
    ) -> TemplateResponse | None:
        selected = list(letters[:MOST_AT_ONCE])
        if "confirmed" not in request.POST:
            return confirmation_page(
                self,
                request,
                Question(f"Redrive {len(selected)} trigger(s)?", text, "Redrive"),
                back_to=list_of(DeadLetter),
                fields=_chosen(request, selected),
                subjects=listed(selected),
            )
        done = redrive_many_letters(request, [letter.pk for letter in selected], version=version)
        self._log(request, selected, done, "Redriven.")
        return None

    def _log(self, request: HttpRequest, letters: list[DeadLetter], done: list[Any], message: str) -> None:
        for letter in letters:
            if letter.pk in done:
                self.log_change(request, letter, message)

    # --- all of a kind ---

    @offered("Redrive by filter", icon="replay")
    def redrive_by_filter(self, request: HttpRequest) -> HttpResponse:
        """Show how many a filter meets, then redrive them at a rate."""
        return redrive_by_filter_page(self, request)

    @offered("Discard by filter", icon="delete_sweep", is_grave=True)
    def discard_by_filter(self, request: HttpRequest) -> HttpResponse:
        """Show how many a filter meets, then discard them with a reason."""
        return discard_by_filter_page(self, request)

    # --- the page of one ---

    @confirmed(REDRIVE, permission="operate", icon="replay")
    def redrive(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Continue the trigger from the node that failed."""
        if redrive_one_letter(request, letter.pk, version=WhichVersion.PINNED):
            self.log_change(request, letter, "Redriven.")

    @confirmed(REDRIVE_ON_NEWEST, permission="operate", icon="move_up")
    def redrive_on_newest(self, request: HttpRequest, letter: DeadLetter) -> None:
        """Continue the trigger from the node that failed, on the newest version."""
        if redrive_one_letter(request, letter.pk, version=WhichVersion.NEWEST):
            self.log_change(request, letter, "Redriven on the newest version.")

    @offered("Discard this dead letter", icon="delete", is_grave=True)
    def discard(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason, then close the letter with it."""
        letter = self.get_object(request, unquote(object_id))
        if letter is None:
            messages.warning(request, "There is no such dead letter.")
            return HttpResponseRedirect(list_of(DeadLetter))
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return deed_page(self, request, DISCARD, form, back_to=page_of(letter))
        if discard_many_letters(request, [letter.pk], reason=form.cleaned_data["reason"]):
            self.log_change(request, letter, "Discarded.")
        return HttpResponseRedirect(page_of(letter))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer what can be decided while the letter is open."""
        letter = self.get_object(request, object_id)
        is_open = letter is not None and letter.state is LetterState.OPEN
        return super().get_actions_detail(request, object_id) if is_open else []  # type: ignore[misc]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the dead letter's story, and the way to its trigger."""
        letter = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if letter is not None:
            error = {"code": letter.code, "message": letter.message, "is_transient": letter.is_transient}
            newest = list(letter.trigger.steps.order_by("-pk")[:MOST_STEPS_SHOWN])
            shown = {
                "title": str(letter),
                "subtitle": None,
                "state": self.shown_state(letter),
                "story": letter_story(letter, now=timezone.now()),
                "trouble": trouble(error, is_final=True),
                "trigger_link": link(page_of(letter.trigger), letter.trigger.idempotency_key),
                "failed": (at(letter.first_failed_at), at(letter.last_failed_at)),
                "steps": [(link(page_of(step), str(step)), at(step.started_at)) for step in reversed(newest)],
            }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})


def _chosen(request: HttpRequest, letters: list[DeadLetter]) -> tuple[tuple[str, str], ...]:
    """Return the hidden fields with which the confirmation comes back to the same action."""
    fields = [("action", request.POST["action"]), ("confirmed", "yes")]
    fields += [(helpers.ACTION_CHECKBOX_NAME, str(letter.pk)) for letter in letters]
    return tuple(fields)
