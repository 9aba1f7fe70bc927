"""What a trigger's row and steps say, in sentences for people. Pure: rows in, text out, the clock is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.admin_texts import at, at_and_how_far, how_far
from execution.doubts import Prospect, doubt_sentence, is_in_doubt, redrive_warning
from execution.expiry import EXPIRED, is_past
from execution.models import Step
from execution.states import StepStatus
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.words import in_words

# A due trigger that nobody takes for so long points at missing workers.
LONGEST_QUEUE = timedelta(minutes=1)

TRIGGER_KINDS = {
    TriggerStatus.ENQUEUED: "waiting",
    TriggerStatus.PROCESSING: "busy",
    TriggerStatus.COMPLETED: "good",
    TriggerStatus.FAILED: "bad",
    TriggerStatus.CANCELED: "",
}
STEP_KINDS = {
    StepStatus.RUNNING: "busy",
    StepStatus.WAITING: "waiting",
    StepStatus.SUCCEEDED: "good",
    StepStatus.FAILED: "bad",
    StepStatus.IN_DOUBT: "doubt",
    StepStatus.SKIPPED: "",
}
# What to do about an error, by its code, where more can be said than the message does.
ADVICE = {
    "empty_recipient": "The trigger's recipient has no such address; look at it, and at the node's `to`.",
    "invalid_address": "The trigger's recipient has an address that can't be one.",
    "invalid_number": "The trigger's recipient has a number that can't be dialled.",
    "recipient_refused": "The provider will not deliver to this address.",
    "authentication_failed": "The provider refused our credentials: whoever runs the service has to look.",
    "misconfigured": "The channel is not set up: whoever runs the service has to look.",
    "undefined_variable": "The workflow is strict and this trigger has no such value; a redrive would meet the same.",
    EXPIRED: "It came too late to be of use and was not sent; a redrive would drop it again.",
    "invalid_definition": "The workflow's version can't be run here any more, as after a channel was taken out.",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in words: what happened, whether trying again can help, what to do."""

    code: str
    message: str
    outlook: str
    advice: str


def next_sentence(trigger: Trigger, steps: Sequence[Step], *, now: datetime) -> str:
    """Say what happens with the trigger next, and when; `steps` are its steps, oldest first."""
    match TriggerStatus(trigger.status):
        case TriggerStatus.COMPLETED:
            return f"Nothing more: it was completed {_ended(trigger, now=now)}.{_went_on(trigger)}"
        case TriggerStatus.CANCELED:
            return f"Nothing more: it was canceled {_ended(trigger, now=now)}."
        case TriggerStatus.FAILED if is_past(trigger.expires_at, now):
            return (
                f"Nothing more: its time was over {_at(trigger.expires_at, now=now)}. "
                "A redrive sends nothing of it and ends it again."
            )
        case TriggerStatus.FAILED:
            return (
                f"Nothing, until somebody redrives it: it then goes on from node {trigger.current_node_id}, "
                f"with all its attempts. {_sent_twice(trigger, steps)}"
            )
        case TriggerStatus.PROCESSING:
            lease = at_and_how_far(trigger.lease_expires_at, now=now) if trigger.lease_expires_at else "its lease ends"
            return (
                f"A worker holds it and is at node {trigger.current_node_id}. "
                f"If that worker is lost, the sweep frees the trigger after {lease}."
            )
        case TriggerStatus.ENQUEUED:
            return _waiting(trigger, steps, now=now) + _went_on(trigger)


def _sent_twice(trigger: Trigger, steps: Sequence[Step]) -> str:
    warning = redrive_warning(steps, left_behind=trigger.failed_nodes)
    return f"{warning} What is known to have been sent is not." if warning else "What was sent is not sent again."


def _waiting(trigger: Trigger, steps: Sequence[Step], *, now: datetime) -> str:
    node, due = trigger.current_node_id, trigger.available_at
    if due <= now:
        waited = now - due
        words = f"It is due: the next free worker of the lane {trigger.lane} takes it up at node {node}."
        if waited > LONGEST_QUEUE:
            words += f" It has been due since {at_and_how_far(due, now=now)}: is a worker of that lane running?"
        return words
    when = at_and_how_far(due, now=now)
    if not steps:
        return f"It starts at {when} with node {node}, as scheduled."
    if any(step.node_id == node and step.status == StepStatus.WAITING for step in steps):
        if is_past(trigger.expires_at, due):
            return f"It waits in the delay {node}, and is dropped at {when}, when its time is over."
        return f"It waits until {when} in the delay {node}, and goes on from there."
    if trigger.attempts:
        return f"Node {node} is tried again at {when}; {_times(trigger.attempts)} it has failed so far."
    return f"It goes on at {when} with node {node}."


def trouble(error: dict[str, object] | None, *, is_final: bool) -> Trouble | None:
    """Put a step's or a trigger's error into words; None when there is none."""
    if not error:
        return None
    code = str(error.get("code", "unknown"))
    outlook = "Trying again as it is would not help, so it was not tried again."
    if error.get("is_transient"):
        outlook = "This kind of error passes" + (", but the node's attempts are used up." if is_final else ".")
    return Trouble(code, str(error.get("message", "")), outlook, ADVICE.get(code, ""))


def duration(step: Step, *, now: datetime) -> str:
    """Say how long a step took, or how long it has been under way."""
    if step.status == StepStatus.SKIPPED:
        return ""
    if step.finished_at is None:
        since = how_far(step.started_at, now=now)
        return "begun just now" if since == "now" else f"for {since.removesuffix(' ago')}"
    took = step.finished_at - step.started_at
    if took < timedelta(seconds=10):
        return f"{took / timedelta(milliseconds=1):,.0f} ms"
    return in_words(timedelta(seconds=round(took.total_seconds())))


def step_sentence(step: Step, prospect: Prospect | None = None) -> str:
    """Say what a step's status means, where the word alone doesn't; of one in doubt also what follows."""
    is_late = (step.error or {}).get("code") == EXPIRED
    match StepStatus(step.status):
        case StepStatus.SKIPPED | StepStatus.FAILED if is_late:
            return "Dropped: its time was over."
        case StepStatus.SKIPPED:
            is_dead = step.attempt == 0
            return (
                "No edge that leads here was taken." if is_dead else "The trigger was canceled while this was waiting."
            )
        case StepStatus.WAITING:
            until = step.output.get("until")
            return f"Waits until {at(datetime.fromisoformat(until))}." if until else "Waits."
        case StepStatus.IN_DOUBT | StepStatus.FAILED if is_in_doubt(step):
            return doubt_sentence(step, prospect)
        case StepStatus.RUNNING:
            return "Being sent, or its worker was lost a moment ago."
        case _:
            return ""


def _ended(trigger: Trigger, *, now: datetime) -> str:
    return _at(trigger.completed_at, now=now)


def _at(moment: datetime | None, *, now: datetime) -> str:
    return at_and_how_far(moment, now=now) if moment else "some time ago"


def _went_on(trigger: Trigger) -> str:
    """Say which nodes failed while the workflow went on, if any."""
    nodes = trigger.failed_nodes
    return f" It went on although {', '.join(nodes)} failed, as the workflow says." if nodes else ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
