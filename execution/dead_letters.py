"""How a dead letter is made, and of which workflow, node, code and time the ones are that somebody asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from execution.failure_classes import class_of
from execution.masking import masked, without_destination
from execution.models import DeadLetter, DeadLetterQuerySet
from execution.runs import Run, TriggerRow
from templates.rendering import RenderError
from workflows.filters import of_workflow
from workflows.nodes import MessageNode

# What a dead letter says besides, when its last attempt brought no clear answer.
MAY_HAVE_LEFT = "It may have been sent: look it up at the provider first, since a redrive sends it again."

# Under this name a message node holds whom it is for, whatever its channel.
DESTINATION_FIELD = "to"


def dead_letter(
    trigger: TriggerRow,
    node_id: str,
    error: Mapping[str, Any],
    *,
    attempts: int,
    first_failed_at: datetime,
    last_failed_at: datetime,
    destination: str = "",
) -> DeadLetter:
    """Return a dead letter that is not stored yet; `destination` is masked here, also where the error tells it."""
    message = without_destination(error["message"], destination)
    return DeadLetter(
        trigger_id=trigger.id,
        workflow_id=trigger.workflow_id,
        node_id=node_id,
        code=error["code"],
        failure_class=class_of(error["code"], is_transient=error["is_transient"]),
        message=f"{message} {MAY_HAVE_LEFT}" if error.get("is_in_doubt") else message,
        is_transient=error["is_transient"],
        attempts=attempts,
        destination=masked(destination),
        first_failed_at=first_failed_at,
        last_failed_at=last_failed_at,
    )


def destination_of(run: Run, node_id: str) -> str:
    """Return whom a node's message is for, rendered as for the send; empty where it sends nothing or can't render."""
    node = run.workflow.graph.nodes[node_id]
    template = node.templates.get(DESTINATION_FIELD) if isinstance(node, MessageNode) else None
    if template is None:
        return ""
    try:
        return template.render(run.names(), strict=run.workflow.strict_variables).text
    except RenderError:
        return ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; what is None narrows nothing. `workflow` is an id or a key."""

    workflow: str | None = None
    node: str | None = None
    code: str | None = None
    failed_after: datetime | None = None
    failed_before: datetime | None = None
    ids: tuple[UUID, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said, so that all would be meant."""
        return not self.told()

    def of(self, letters: DeadLetterQuerySet) -> DeadLetterQuerySet:
        """Keep those that are meant."""
        conditions = {
            "node_id": self.node,
            "code": self.code,
            "last_failed_at__gte": self.failed_after,
            "last_failed_at__lt": self.failed_before,
            "pk__in": self.ids,
        }
        found: Any = letters.filter(**{name: value for name, value in conditions.items() if value is not None})
        return found if self.workflow is None else of_workflow(found, self.workflow)  # type: ignore[return-value]  # it stays the same class

    def told(self) -> dict[str, Any]:
        """Return it as the audit trail tells it with each letter; of a list of ids only how many."""
        names = ("workflow", "node", "code", "failed_after", "failed_before")
        told: dict[str, Any] = {name: str(value) for name in names if (value := getattr(self, name)) is not None}
        return told if self.ids is None else {**told, "ids": len(self.ids)}
