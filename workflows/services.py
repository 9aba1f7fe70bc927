"""What can be done with a workflow; API and admin both come through here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor, record
from workflows.changes import Facts, definition_changes, fact_changes
from workflows.definition import parse_definition
from workflows.keys import key_from
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority

# How far triggers under way are counted while the workflow is locked.
MOST_COUNTED = 1_000


class KeyTaken(Exception):
    """Another workflow, perhaps a deleted one, has the key."""


class ActiveTriggersExist(Exception):
    """The workflow can't be deleted while triggers of it are under way; `count` says how many.

    They are counted up to MOST_COUNTED; one more than that stands for any number.
    """

    def __init__(self, count: int) -> None:
        shown = f"more than {MOST_COUNTED:,}" if count > MOST_COUNTED else count
        super().__init__(f"{shown} trigger(s) of this workflow are under way.")
        self.count = count


class ChangedMeanwhile(Exception):
    """The workflow is not in the state that the caller demands; `version` is where its definition is."""

    def __init__(self, version: int) -> None:
        super().__init__(f"The workflow was changed meanwhile; it is at version {version} now.")
        self.version = version


# Asked of the locked workflow before anything is done to it; False raises ChangedMeanwhile.
Guard = Callable[[Workflow], bool]


@dataclass(frozen=True, slots=True)
class WorkflowDraft:
    """What a manager may say of a workflow; the definition is what a version keeps."""

    name: str
    priority: Priority
    definition: dict[str, Any]
    key: str = ""


def is_key_taken(key: str) -> bool:
    """Say whether a workflow, perhaps a deleted one, has the key."""
    return Workflow.objects.filter(key=key).exists()


def create_workflow(draft: WorkflowDraft, *, by: Actor = SYSTEM) -> Workflow:
    """Store a new, inactive workflow and its version 1.

    Without a key, one is made from the name, with a number behind it when taken.
    Raises DefinitionInvalid, and KeyTaken when a key was given and is taken.
    """
    parse_definition(draft.definition)
    wanted = draft.key or key_from(draft.name)
    for attempt in range(1, 1000):
        key = wanted if attempt == 1 else f"{wanted}-{attempt}"
        if not is_key_taken(key):
            try:
                return _insert(draft, key, by)
            except IntegrityError:
                # A twin took the key between the look and the insert: it counts as taken.
                if not is_key_taken(key):
                    raise
        if draft.key:
            break
    raise KeyTaken(wanted)


def with_defaults(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition with what may be left out, as answers show it: what was read and sent back is no change."""
    return {"edges": [], "strict_variables": False, **definition}


@transaction.atomic
def _insert(draft: WorkflowDraft, key: str, by: Actor) -> Workflow:
    workflow = Workflow.objects.create(key=key, name=draft.name, priority=draft.priority.value)
    definition = with_defaults(draft.definition)
    WorkflowVersion.objects.create(workflow=workflow, number=1, definition=definition)
    changes = fact_changes(None, _facts(workflow)) | definition_changes(None, definition)
    _note(by, Action.WORKFLOW_CREATED, workflow, changes)
    return workflow


@transaction.atomic
def update_workflow(
    workflow_id: UUID,
    change: Callable[[Workflow, dict[str, Any]], WorkflowDraft],
    *,
    only_if: Guard | None = None,
    by: Actor = SYSTEM,
) -> Workflow:
    """Change a workflow; a definition that differs from the current one becomes the next version.

    `change` gets the locked workflow and its current definition and returns what it shall be. Where that is what it
    is, nothing is written. Triggers under way keep the version they started on.
    Raises Workflow.DoesNotExist, ChangedMeanwhile and DefinitionInvalid.
    """
    workflow = _locked(workflow_id, only_if)
    before = _facts(workflow)
    stored = workflow.versions.get(number=workflow.version).definition
    draft = change(workflow, stored)
    parse_definition(draft.definition)
    definition, current = with_defaults(draft.definition), with_defaults(stored)
    if definition != current:
        workflow.version += 1
        WorkflowVersion.objects.create(workflow=workflow, number=workflow.version, definition=definition)
    workflow.name = draft.name
    workflow.priority = draft.priority.value
    changes = fact_changes(before, _facts(workflow)) | definition_changes(current, definition)
    if changes:
        _save(workflow)
        _note(by, Action.WORKFLOW_CHANGED, workflow, changes)
    return workflow


@transaction.atomic
def set_active(workflow_id: UUID, *, is_active: bool, only_if: Guard | None = None, by: Actor = SYSTEM) -> Workflow:
    """Activate or deactivate a workflow; activation validates the current version anew.

    One that is so already is left as it is. Raises Workflow.DoesNotExist, ChangedMeanwhile, and DefinitionInvalid on
    activation when the definition can't be run any more.
    """
    workflow = _locked(workflow_id, only_if)
    if is_active:
        parse_definition(workflow.versions.get(number=workflow.version).definition)
    before = _facts(workflow)
    workflow.is_active = is_active
    changes = fact_changes(before, _facts(workflow))
    if changes:
        _save(workflow)
        _note(by, Action.WORKFLOW_ACTIVATED if is_active else Action.WORKFLOW_DEACTIVATED, workflow, changes)
    return workflow


# Each counts no further than MOST_COUNTED + 1.
_active_counters: list[Callable[[UUID], int]] = []


def count_before_deletion(counter: Callable[[UUID], int]) -> None:
    """Have `counter` asked how much of a workflow is under way; `triggers`, above this room, registers itself."""
    _active_counters.append(counter)


@transaction.atomic
def delete_workflow(workflow_id: UUID, *, only_if: Guard | None = None, by: Actor = SYSTEM) -> None:
    """Mark a workflow as deleted. Raises Workflow.DoesNotExist, ChangedMeanwhile and ActiveTriggersExist.

    The full row lock makes a trigger's insert and this wait for each other, so that the count misses none.
    """
    workflow = _locked(workflow_id, only_if, also_against_triggers=True)
    count = sum(counter(workflow.id) for counter in _active_counters)
    if count:
        raise ActiveTriggersExist(count)
    before = _facts(workflow)
    workflow.deleted_at = timezone.now()
    workflow.is_active = False
    _save(workflow)
    _note(by, Action.WORKFLOW_DELETED, workflow, fact_changes(before, _facts(workflow)))


def _locked(workflow_id: UUID, only_if: Guard | None, *, also_against_triggers: bool = False) -> Workflow:
    """Return the workflow, locked until the transaction ends; the inserts of its triggers wait only where asked to."""
    locked = Workflow.objects.present().select_for_update(no_key=not also_against_triggers)
    workflow = locked.get(pk=workflow_id)
    if only_if is not None and not only_if(workflow):
        raise ChangedMeanwhile(workflow.version)
    return workflow


def _save(workflow: Workflow) -> None:
    """Store a changed workflow, whose row is locked, as its next state."""
    workflow.revision += 1
    workflow.save()


def _facts(workflow: Workflow) -> Facts:
    return Facts(workflow.name, workflow.priority, workflow.is_active, workflow.version)


def _note(by: Actor, action: Action, workflow: Workflow, changes: dict[str, Any]) -> None:
    record(by, action, object_type="workflow", object_id=workflow.pk, object_name=workflow.key, changes=changes)
