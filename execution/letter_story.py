"""What a dead letter's row says, in sentences for people. Pure: a row in, text out, the clock is an argument."""

from datetime import datetime

from accounts.admin_texts import at_and_how_far
from execution.failure_classes import FailureClass
from execution.models import DeadLetter, LetterState

WHY = {
    FailureClass.EXHAUSTED: "The error passes by itself, but it lasted longer than the node's attempts.",
    FailureClass.PERMANENT: "The same would be answered again, so it was not tried again.",
    FailureClass.IN_DOUBT: "The message may have been sent: look it up at the provider; a redrive sends it again.",
    FailureClass.EXPIRED: "It was too late to be of use, so it was dropped; a redrive would find it late as well.",
    FailureClass.UNRUNNABLE: "The trigger's version, or its stored state, can't be run here any more.",
}


def letter_story(letter: DeadLetter, *, now: datetime) -> list[str]:
    """Say what failed for whom, why it was not tried again, and what was decided."""
    whom = f" for {letter.destination}" if letter.destination else ""
    tried = {0: "was not tried at all", 1: "was tried once"}.get(letter.attempts, f"was tried {letter.attempts} times")
    when = at_and_how_far(letter.last_failed_at, now=now)
    return [
        f"Node {letter.node_id} of {letter.workflow.key}{whom} {tried}; it failed for good {when}.",
        WHY[FailureClass(letter.failure_class)],
        _decided(letter, now=now),
    ]


def _decided(letter: DeadLetter, *, now: datetime) -> str:
    if letter.closed_at is None:
        if letter.workflow.deleted_at is not None:
            return "Its workflow was deleted, so it can't be redriven; it can be discarded."
        return "It waits for a person to redrive or discard it."
    when = at_and_how_far(letter.closed_at, now=now)
    if letter.state is LetterState.DISCARDED:
        return f"{letter.discarded_by} discarded it {when}: {letter.discard_reason}"
    later = letter.goes_on_at is not None and letter.goes_on_at > now
    waits = f" It goes on {at_and_how_far(letter.goes_on_at, now=now)}." if later and letter.goes_on_at else ""
    return f"It was redriven {when}.{waits}"
