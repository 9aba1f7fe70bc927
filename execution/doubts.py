"""What is known of a message in doubt and what follows from it, in sentences for whoever has to decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from django.utils import timezone

from accounts.admin_texts import at
from execution.engine import NodeEnd
from execution.expiry import EXPIRED, is_past
from execution.models import Step
from execution.states import StepStatus
from execution.step_rows import AnyStep
from triggers.models import Trigger
from triggers.states import FINISHED, TriggerStatus
from workflows.compiled import compiled_version
from workflows.faults import DefinitionInvalid
from workflows.nodes import MessageNode, OnDoubt


class Fate(Enum):
    """What becomes of a message in doubt that has not been tried again."""

    RESENT = auto()
    # Only a person's redrive sends it again.
    HELD = auto()
    DROPPED = auto()
    # Its node failed for good and the workflow went on, or late evidence proved that it was sent.
    LEFT_BEHIND = auto()
    OVER = auto()
    UNKNOWN = auto()


WHY_NOT_AGAIN = {
    Fate.DROPPED: "its time is over",
    Fate.LEFT_BEHIND: "its node has ended",
    Fate.OVER: "the trigger has ended",
}


@dataclass(frozen=True, slots=True)
class Prospect:
    """What follows for a message in doubt: the attempt that was made after it or, without one, its fate."""

    fate: Fate
    next_attempt: int | None = None


def is_in_doubt(step: Step) -> bool:
    """Say whether nobody knows if the step's message left: its worker was lost, or no clear answer came."""
    return step.status == StepStatus.IN_DOUBT or bool((step.error or {}).get("is_in_doubt"))


def prospect_of(step: Step) -> Prospect:
    """Read what follows for this step."""
    trigger = step.trigger
    behind = Step.objects.filter(trigger=trigger, node_id=step.node_id, attempt__gt=step.attempt).order_by("attempt")
    dropped = {attempt: _code(error) == EXPIRED for attempt, error in behind.values_list("attempt", "error")}
    next_attempt = next((attempt for attempt, is_dropped in dropped.items() if not is_dropped), None)
    try:
        node = compiled_version(trigger.version_id).graph.nodes.get(step.node_id)
    except DefinitionInvalid:
        node = None
    is_at_fault = trigger.status == TriggerStatus.FAILED and trigger.current_node_id == step.node_id
    fate = fate_of(
        node.on_doubt if isinstance(node, MessageNode) else None,
        TriggerStatus(trigger.status),
        has_ended=_has_ended(trigger, step.node_id),
        is_late=any(dropped.values())
        or (is_at_fault and _code(trigger.error) == EXPIRED)
        or is_past(trigger.expires_at, timezone.now()),
    )
    return Prospect(fate, next_attempt)


def fate_of(on_doubt: OnDoubt | None, status: TriggerStatus, *, has_ended: bool, is_late: bool) -> Fate:
    """Return what becomes of a message in doubt, by its node, None when that can't be read, and its trigger.

    `has_ended` says whether its node ended otherwise than by failing the trigger.
    """
    if status in {TriggerStatus.COMPLETED, TriggerStatus.CANCELED}:
        return Fate.OVER
    if has_ended:
        return Fate.LEFT_BEHIND
    if is_late:
        return Fate.DROPPED
    if on_doubt is None:
        return Fate.OVER if status in FINISHED else Fate.UNKNOWN
    return Fate.HELD if status == TriggerStatus.FAILED or on_doubt is OnDoubt.HOLD else Fate.RESENT


def doubt_sentence(step: Step, prospect: Prospect | None = None) -> str:
    """Say what is known of a step in doubt and, with its prospect, what follows."""
    follows = _follows(step, prospect) if prospect else ""
    return f"{_known(step)} {follows}".strip()


def held_message(step: AnyStep, *, doubts: int) -> str:
    """Say what is known of a message that waits for a person; `step` is the latest of `doubts` attempts in doubt."""
    often = f" {doubts} attempts ended in doubt; this was the last." if doubts > 1 else ""
    return (
        f"The message of node {step.node_id} is in doubt. {_known(step)}{often} "
        f"A redrive sends it again: look it up at {_provider(step)} first, by {_traces(step)}."
    )


def redrive_warning(steps: Sequence[Step], *, left_behind: Sequence[str]) -> str:
    """Say what a redrive of their trigger may send twice, empty when nothing; `steps` come oldest first.

    `left_behind` are the nodes that failed while the workflow went on: they are not sent again.
    """
    certain = {step.node_id for step in steps if step.status == StepStatus.SUCCEEDED} | set(left_behind)
    latest = {step.node_id: step for step in steps if is_in_doubt(step) and step.node_id not in certain}
    return " ".join(
        f"The message of node {step.node_id} would be sent again, though it may have arrived. {_known(step)} "
        f"Look it up at {_provider(step)} first, by {_traces(step)}."
        for step in latest.values()
    )


def message_key(step: AnyStep) -> str:
    """Return the key that every attempt at this message has at its provider."""
    return f"{step.trigger_id}.{step.node_id}"


def _known(step: AnyStep) -> str:
    handed = f"It was handed to {_provider(step)} at {at(step.started_at)}"
    late = step.output.get("late_outcome")
    if late:
        came = f" at {at(datetime.fromisoformat(late['sent_at']))}" if late.get("sent_at") else ""
        return f"{handed} and taken{came}, which came to light only after another attempt had been taken too."
    answer = (
        f"{handed}, which gave no clear answer"
        if step.error
        else f"{handed} and no answer was recorded, as its worker was lost"
    )
    found = f"its message id is {step.message_id}" if step.message_id else "no message id came back"
    return f"{answer}: {found}, and it may have been sent or not."


def _follows(step: Step, prospect: Prospect) -> str:
    key = _key(step)
    if prospect.next_attempt is not None:
        return f"It was tried again as attempt {prospect.next_attempt}, under the same {key}."
    match prospect.fate:
        case Fate.UNKNOWN:
            return ""
        case Fate.RESENT:
            return f"It will be sent again, under the same {key}."
        case Fate.HELD:
            return (
                f"It is held for a person: look it up at the provider ({key}), then redrive the trigger, "
                "which sends it again, or leave it."
            )
        case end:
            return f"It is not sent again, since {WHY_NOT_AGAIN[end]}; the provider knows it by {key}."


def _provider(step: AnyStep) -> str:
    return step.provider or "its provider"


def _key(step: AnyStep) -> str:
    return f"Message-ID or idempotency key {message_key(step)}"


def _traces(step: AnyStep) -> str:
    """Return what it can be found by; not every provider keeps the key."""
    return f"{_key(step)}, or by recipient and time"


def _code(error: dict[str, object] | None) -> object:
    return (error or {}).get("code")


def _has_ended(trigger: Trigger, node_id: str) -> bool:
    """Say whether the node ended, otherwise than by failing the trigger; a state that can't be read says nothing."""
    ended = trigger.run_state.get("ended") if isinstance(trigger.run_state, dict) else None
    return isinstance(ended, dict) and ended.get(node_id, NodeEnd.FAILED) != NodeEnd.FAILED
