"""What is known of a message in doubt and what follows from it, in sentences for whoever has to decide."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from accounts.admin_texts import at
from execution.models import Step
from triggers.states import FINISHED
from workflows.compiled import compiled_version
from workflows.faults import DefinitionInvalid
from workflows.nodes import MessageNode, OnDoubt


@dataclass(frozen=True, slots=True)
class Prospect:
    """What decides on a message in doubt: the node's `on_doubt`, its latest attempt, whether the trigger has ended."""

    on_doubt: OnDoubt | None
    latest_attempt: int
    is_over: bool


def prospect_of(step: Step) -> Prospect:
    """Read what decides on this step."""
    trigger = step.trigger
    attempts = Step.objects.filter(trigger=trigger, node_id=step.node_id).aggregate(latest=Max("attempt"))
    try:
        node = compiled_version(trigger.version_id).graph.nodes.get(step.node_id)
    except DefinitionInvalid:
        node = None
    return Prospect(
        node.on_doubt if isinstance(node, MessageNode) else None, attempts["latest"], trigger.status in FINISHED
    )


def doubt_sentence(step: Step, prospect: Prospect | None = None) -> str:
    """Say what is known of a step in doubt and, with its prospect, what follows."""
    known = _known(step)
    follows = _follows(step, prospect) if prospect else ""
    return f"{known} {follows}".strip()


def message_key(step: Step) -> str:
    """Return the key that every attempt at this message has at its provider."""
    return f"{step.trigger_id}.{step.node_id}"


def _known(step: Step) -> str:
    handed = f"It was handed to {step.provider or 'its provider'} at {at(step.started_at)}"
    late = step.output.get("late_outcome")
    if late:
        came = f" at {at(datetime.fromisoformat(late['sent_at']))}" if late.get("sent_at") else ""
        return f"{handed} and taken{came}, which came to light only after another attempt had been taken too."
    if step.error:
        return f"{handed}, which gave no clear answer: it may have been sent or not."
    return f"{handed} and no answer was recorded, as its worker was lost: it may have been sent or not."


def _follows(step: Step, prospect: Prospect) -> str:
    key = f"Message-ID or idempotency key {message_key(step)}"
    if prospect.latest_attempt > step.attempt:
        return f"It was sent again as attempt {step.attempt + 1}, under the same {key}."
    if prospect.on_doubt is OnDoubt.HOLD:
        return (
            f"It is held for a person: look it up at the provider ({key}), then redrive the trigger, "
            "which sends it again, or leave it."
        )
    if prospect.is_over:
        return f"It is not sent again, since the trigger has ended; the provider knows it by {key}."
    if prospect.on_doubt is OnDoubt.RESEND:
        return f"It will be sent again, under the same {key}."
    return ""
