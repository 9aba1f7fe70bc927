"""What can be done with a workflow; API and admin both come through here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

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


def create_workflow(draft: WorkflowDraft) -> Workflow:
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
                return _insert(draft, key)
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
def _insert(draft: WorkflowDraft, key: str) -> Workflow:
    workflow = Workflow.objects.create(key=key, name=draft.name, priority=draft.priority.value)
    WorkflowVersion.objects.create(workflow=workflow, number=1, definition=with_defaults(draft.definition))
    return workflow


@transaction.atomic
def update_workflow(workflow_id: UUID, change: Callable[[Workflow, dict[str, Any]], WorkflowDraft]) -> Workflow:
    """Change a workflow; a definition that differs from the current one becomes the next version.

    `change` gets the locked workflow and its current definition and returns what it shall be.
    Raises Workflow.DoesNotExist and DefinitionInvalid. Triggers under way keep the version they started on.
    """
    workflow = Workflow.objects.present().select_for_update(no_key=True).get(pk=workflow_id)
    current = workflow.versions.get(number=workflow.version)
    draft = change(workflow, current.definition)
    parse_definition(draft.definition)
    definition = with_defaults(draft.definition)
    if definition != with_defaults(current.definition):
        workflow.version += 1
        WorkflowVersion.objects.create(workflow=workflow, number=workflow.version, definition=definition)
    workflow.name = draft.name
    workflow.priority = draft.priority.value
    workflow.save()
    return workflow


@transaction.atomic
def set_active(workflow_id: UUID, *, is_active: bool) -> Workflow:
    """Activate or deactivate a workflow; activation validates the current version anew.

    Raises Workflow.DoesNotExist, and DefinitionInvalid on activation when the definition can't be run any more.
    """
    workflow = Workflow.objects.present().select_for_update(no_key=True).get(pk=workflow_id)
    if is_active:
        parse_definition(workflow.versions.get(number=workflow.version).definition)
    workflow.is_active = is_active
    workflow.save(update_fields=["is_active", "updated_at"])
    return workflow


# Each counts no further than MOST_COUNTED + 1.
_active_counters: list[Callable[[UUID], int]] = []


def count_before_deletion(counter: Callable[[UUID], int]) -> None:
    """Have `counter` asked how much of a workflow is under way; `triggers`, above this room, registers itself."""
    _active_counters.append(counter)


@transaction.atomic
def delete_workflow(workflow_id: UUID) -> None:
    """Mark a workflow as deleted. Raises Workflow.DoesNotExist and ActiveTriggersExist.

    The full row lock makes a trigger's insert and this wait for each other, so that the count misses none.
    """
    workflow = Workflow.objects.present().select_for_update().get(pk=workflow_id)
    count = sum(counter(workflow.id) for counter in _active_counters)
    if count:
        raise ActiveTriggersExist(count)
    workflow.deleted_at = timezone.now()
    workflow.is_active = False
    workflow.save()
