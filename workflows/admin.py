"""Where managers build workflows, see them, switch them on and off. Every change goes through `workflows.services`."""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.admin_actions import Question, confirmed
from accounts.admin_base import ConsoleAdmin, ReadOnlyAdmin
from accounts.admin_lists import ChoiceFilter
from accounts.admin_texts import at_and_how_far, badge, code, pretty_json
from accounts.audit import actor_of
from accounts.roles import Capability
from workflows.admin_filters import WorkflowFilter
from workflows.admin_forms import TAKEN, WorkflowForm, in_words
from workflows.drawing import draw
from workflows.faults import DefinitionInvalid
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import CHOICES
from workflows.services import (
    ActiveTriggersExist,
    ChangedMeanwhile,
    KeyTaken,
    create_workflow,
    delete_workflow,
    set_active,
    update_workflow,
)
from workflows.words import describe

MANAGERS = frozenset({Capability.MANAGE_WORKFLOWS})
MOST_VERSIONS_SHOWN = 20

ACTIVATE = Question(
    title="Activate this workflow?",
    text="It will take triggers from then on. Its current version is checked once more before.",
    submit="Activate",
)
DEACTIVATE = Question(
    title="Deactivate this workflow?",
    text="It will take no new triggers. Those under way go on to their end.",
    submit="Deactivate",
)


class ActiveFilter(ChoiceFilter):
    """By whether the workflow takes triggers."""

    title = "state"
    parameter_name = "is_active"
    words = [(True, "active"), (False, "inactive")]


class PriorityFilter(ChoiceFilter):
    """By lane."""

    title = "priority"
    parameter_name = "priority"
    words = CHOICES


@admin.register(Workflow)
class WorkflowAdmin(ConsoleAdmin[Workflow]):
    """Workflows: build, look at, switch on and off, delete."""

    readable_with = MANAGERS
    writable_with = MANAGERS
    form = WorkflowForm
    change_form_template = "admin/workflows/workflow.html"
    list_display = ("name", "shown_key", "state", "version", "lane", "changed")
    list_filter = (ActiveFilter, PriorityFilter)
    search_fields = ("name", "key")
    search_help_text = "Part of a name or key"
    sortable_by = ("name", "version", "changed")
    ordering = ("name", "pk")
    actions = ("activate_selected", "deactivate_selected")
    actions_detail = ("activate", "deactivate")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workflow]:
        """Return the workflows that are not deleted."""
        return super().get_queryset(request).filter(deleted_at=None)

    # --- the list ---

    @admin.display(description="Key")
    def shown_key(self, workflow: Workflow) -> SafeString:
        """Show the key as what it is to systems."""
        return code(workflow.key)

    @admin.display(description="State")
    def state(self, workflow: Workflow) -> SafeString:
        """Show whether it takes triggers."""
        return badge("active", "good") if workflow.is_active else badge("inactive")

    @admin.display(description="Priority", ordering="priority")
    def lane(self, workflow: Workflow) -> str:
        """Show the lane by its word."""
        return str(workflow.get_priority_display())

    @admin.display(description="Changed", ordering="updated_at")
    def changed(self, workflow: Workflow) -> str:
        """Show when it was changed last."""
        return at_and_how_far(workflow.updated_at, now=timezone.now())

    @admin.action(description="Activate the selected workflows", permissions=["change"])
    def activate_selected(self, request: HttpRequest, workflows: QuerySet[Workflow]) -> None:
        """Let the selected workflows take triggers."""
        for workflow in workflows:
            self._set_active(request, workflow, is_active=True)

    @admin.action(description="Deactivate the selected workflows", permissions=["change"])
    def deactivate_selected(self, request: HttpRequest, workflows: QuerySet[Workflow]) -> None:
        """Let the selected workflows take no new triggers."""
        for workflow in workflows:
            self._set_active(request, workflow, is_active=False)

    # --- the page of one ---

    @confirmed(ACTIVATE, permission="change", icon="play_arrow")
    def activate(self, request: HttpRequest, workflow: Workflow) -> None:
        """Let the workflow take triggers."""
        self._set_active(request, workflow, is_active=True)

    @confirmed(DEACTIVATE, permission="change", icon="pause")
    def deactivate(self, request: HttpRequest, workflow: Workflow) -> None:
        """Let the workflow take no new triggers."""
        self._set_active(request, workflow, is_active=False)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer the one of the two switches that changes something."""
        offered: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]  # unfold's
        workflow = self.get_object(request, object_id)
        useless = "workflows_workflow_activate" if workflow and workflow.is_active else "workflows_workflow_deactivate"
        return [action for action in offered if action.action_name != useless]

    def get_fieldsets(self, request: HttpRequest, obj: Workflow | None = None) -> Any:
        """Ask for the key when the workflow is made, and never again."""
        if obj is None:
            return [(None, {"fields": ["name", "key", "priority", "definition"]})]
        return [
            ("Change the workflow", {"fields": ["name", "priority"]}),
            ("Definition as JSON", {"fields": ["definition", "based_on"], "classes": ["collapse"]}),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the model's defaults; an address fills in nothing."""
        return {}

    def get_form(self, request: HttpRequest, obj: Workflow | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form, which begins with the current definition."""
        form = super().get_form(request, obj, change, **kwargs)
        if obj is None:
            return form
        definition = _current_definition(obj)

        class CurrentForm(form):  # type: ignore[valid-type,misc]  # made from the model by Django
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                initial = {"definition": pretty_json(definition), "based_on": obj.state_tag if obj else ""}
                super().__init__(*args, **{**kwargs, "initial": initial | (kwargs.get("initial") or {})})

        return CurrentForm

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the workflow, with the form to change it below."""
        workflow = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if workflow is not None:
            shown = {
                **definition_context(_current_definition(workflow)),
                "state": self.state(workflow),
                "changed": self.changed(workflow),
                "versions": list(workflow.versions.defer("definition")[:MOST_VERSIONS_SHOWN]),
                "title": workflow.name,
                "subtitle": None,
            }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    # --- writing, through the services ---

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show or take the form; what a service refuses at the last moment is said in words."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except KeyTaken:
            return self._refused(request, TAKEN)
        except ChangedMeanwhile:
            # Between the form's look and the lock. The form sees it now, and shows what was typed beside the error.
            return super().changeform_view(request, *args, **kwargs)
        except Workflow.DoesNotExist:
            return self._refused(request, "The workflow was deleted meanwhile.", back_to="../..")

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Workflow:
        """Store the workflow by its service; Django stores nothing itself (see `save_model`)."""
        if not change:
            return create_workflow(form.draft(), by=actor_of(request))
        return update_workflow(
            form.instance.pk,
            lambda *_: form.draft(),
            only_if=lambda workflow: workflow.state_tag == form.cleaned_data["based_on"],
            by=actor_of(request),
        )

    def save_model(self, request: HttpRequest, obj: Workflow, form: Any, change: bool) -> None:
        """Do nothing: `save_form` stored it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: a workflow's versions are the service's."""

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        """Say what a deletion takes away: the workflow; its versions and triggers stay readable."""
        return [f"{workflow} (its versions and triggers stay readable)" for workflow in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: Workflow) -> None:
        """Delete the workflow by its service."""
        delete_workflow(obj.pk, by=actor_of(request))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Ask for, or do, the deletion; what stands in the way is said in words."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except ActiveTriggersExist as error:
            return self._refused(request, f"{error} Deactivate it, and delete it once they have ended.", "../change/")
        except Workflow.DoesNotExist:
            return self._refused(request, "The workflow was deleted meanwhile.", back_to="../..")

    def _set_active(self, request: HttpRequest, workflow: Workflow, *, is_active: bool) -> None:
        word = "active" if is_active else "inactive"
        try:
            set_active(workflow.pk, is_active=is_active, by=actor_of(request))
        except DefinitionInvalid as error:
            faults = "; ".join(in_words(fault) for fault in error.faults)
            messages.error(request, f"{workflow.name} can't be activated: {faults}")
        except Workflow.DoesNotExist:
            messages.error(request, f"{workflow.name} was deleted meanwhile.")
        else:
            self.log_change(request, workflow, f"Made {word}.")
            messages.success(request, f"{workflow.name} is {word} now.")

    def _refused(self, request: HttpRequest, reason: str, back_to: str = "") -> HttpResponseRedirect:
        messages.error(request, reason)
        return HttpResponseRedirect(back_to or request.path)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin[WorkflowVersion]):
    """Versions: what each workflow was, for good."""

    readable_with = MANAGERS
    change_form_template = "admin/workflows/version.html"
    list_display = ("__str__", "workflow_name", "number", "created_at")
    list_filter = (WorkflowFilter,)
    list_select_related = ("workflow",)
    sortable_by = ()
    ordering = ("-pk",)
    fields = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowVersion]:
        """Return the versions without their definitions, which a page of one fetches."""
        return super().get_queryset(request).defer("definition")

    @admin.display(description="Workflow")
    def workflow_name(self, version: WorkflowVersion) -> str:
        """Show the workflow by its name."""
        return version.workflow.name

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the version."""
        version = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if version is not None:
            title = f"{version.workflow.name}, version {version.number}"
            shown = {**definition_context(version.definition), "title": title, "subtitle": None}
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})


def definition_context(definition: dict[str, Any]) -> dict[str, Any]:
    """Return what the template of a definition needs."""
    return {"drawing": draw(definition), "nodes": describe(definition), "json": pretty_json(definition)}


def _current_definition(workflow: Workflow) -> dict[str, Any]:
    return cast("dict[str, Any]", workflow.versions.get(number=workflow.version).definition)
