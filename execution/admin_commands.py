"""What operators do about triggers from the admin: cancel and redrive, one or many, with the outcome in words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest

from accounts.audit import actor_of
from execution.cancel import AlreadyFinished, Cancellation, cancel_trigger
from execution.dead_letter_deeds import discard_letter, redrive_letter
from execution.models import Step
from execution.redrive import REFUSALS, NotFailed, NotOpen, WhichVersion, redrive_trigger
from triggers.models import Trigger


@dataclass(slots=True)
class Tally:
    """What became of a selection: the triggers that were moved, and why each of the others was not."""

    done: list[Trigger] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    sent: int = 0
    in_flight: int = 0


def cancel_one(request: HttpRequest, trigger_id: UUID) -> Trigger | None:
    """Cancel a trigger and say what was sent before; None, with the reason said, when it had ended."""
    try:
        cancellation = cancel_trigger(trigger_id, by=actor_of(request))
    except AlreadyFinished as error:
        messages.warning(request, str(error))
        return None
    messages.success(request, canceled(cancellation))
    return cancellation.trigger


def canceled(cancellation: Cancellation) -> str:
    """Say what a cancellation came too late for."""
    words = ["Canceled."]
    if cancellation.sent:
        words.append(f"Already sent: {_named(cancellation.sent)}.")
    if cancellation.in_flight:
        words.append(f"Being sent at this moment, or in doubt: {_named(cancellation.in_flight)}.")
    if cancellation.never and (cancellation.sent or cancellation.in_flight):
        words.append(f"Never will be: {', '.join(cancellation.never)}.")
    if not cancellation.sent and not cancellation.in_flight:
        words.append("No message had been sent, and none will be.")
    return " ".join(words)


def redrive_one(request: HttpRequest, trigger_id: UUID) -> Trigger | None:
    """Redrive a trigger and say where it goes on; None, with the reason said, when it can't be redriven."""
    try:
        trigger = redrive_trigger(trigger_id, by=actor_of(request))
    except REFUSALS as refusal:
        messages.warning(request, str(refusal))
        return None
    _say_redriven(request, trigger)
    return trigger


def redrive_one_letter(request: HttpRequest, letter_id: UUID, *, version: WhichVersion) -> bool:
    """Redrive the trigger of a dead letter and say where it goes on, or why it can't be redriven."""
    try:
        trigger = redrive_letter(letter_id, version=version, by=actor_of(request))
    except REFUSALS as refusal:
        messages.warning(request, str(refusal))
        return False
    _say_redriven(request, trigger)
    return True


def redrive_many_letters(request: HttpRequest, letter_ids: Sequence[UUID], *, version: WhichVersion) -> list[UUID]:
    """Redrive the triggers of chosen dead letters, and say how many were; return the letters."""
    done: list[UUID] = []
    tally = Tally()
    for letter_id in letter_ids:
        try:
            tally.done.append(redrive_letter(letter_id, version=version, by=actor_of(request)))
            done.append(letter_id)
        except REFUSALS as refusal:
            tally.refused.append(str(refusal))
    if tally.done:
        messages.success(request, f"{_counted(tally.done, 'trigger')} redriven, each from the node that failed.")
    _say_why_not(request, tally.refused)
    return done


def discard_many_letters(request: HttpRequest, letter_ids: Sequence[UUID], *, reason: str) -> list[UUID]:
    """Discard chosen dead letters and say how many were; return those."""
    done: list[UUID] = []
    refused: list[str] = []
    for letter_id in letter_ids:
        try:
            discard_letter(letter_id, reason=reason, by=actor_of(request))
            done.append(letter_id)
        except NotOpen as refusal:
            refused.append(str(refusal))
    if done:
        messages.success(request, f"{_counted(done, 'dead letter')} discarded; what failed stays failed.")
    _say_why_not(request, refused)
    return done


def _say_redriven(request: HttpRequest, trigger: Trigger) -> None:
    sent = list(trigger.steps.filter(status="succeeded").exclude(provider="").order_by("pk"))
    kept = f" Already sent, and not sent again: {_named(sent)}." if sent else " Nothing had been sent before."
    messages.success(request, f"Redriven: it goes on from node {trigger.current_node_id}.{kept}")


def _say_why_not(request: HttpRequest, refused: Sequence[str]) -> None:
    for reason, count in Counter(refused).items():
        messages.warning(request, f"{count} left as {'it was' if count == 1 else 'they were'}: {reason}")


def cancel_many(request: HttpRequest, trigger_ids: Sequence[UUID]) -> list[Trigger]:
    """Cancel each trigger of a selection, and say how many were canceled and what was sent before."""
    tally = Tally()
    for trigger_id in trigger_ids:
        try:
            cancellation = cancel_trigger(trigger_id, by=actor_of(request))
        except AlreadyFinished as error:
            tally.refused.append(str(error))
            continue
        tally.done.append(cancellation.trigger)
        tally.sent += len(cancellation.sent)
        tally.in_flight += len(cancellation.in_flight)
    if tally.done:
        messages.success(
            request,
            f"{_counted(tally.done, 'trigger')} canceled. Before that, they had sent {tally.sent} message(s); "
            f"{tally.in_flight} were being sent or in doubt.",
        )
    _say_refused(request, tally, "had ended already")
    return tally.done


def redrive_many(request: HttpRequest, trigger_ids: Sequence[UUID]) -> list[Trigger]:
    """Redrive each trigger of a selection, and say how many were."""
    tally = Tally()
    others: list[str] = []
    for trigger_id in trigger_ids:
        try:
            tally.done.append(redrive_trigger(trigger_id, by=actor_of(request)))
        except NotFailed as error:
            tally.refused.append(str(error))
        except REFUSALS as refusal:
            others.append(str(refusal))
    if tally.done:
        messages.success(request, f"{_counted(tally.done, 'trigger')} redriven, each from the node that failed.")
    _say_refused(request, tally, "had not failed")
    _say_why_not(request, others)
    return tally.done


def _say_refused(request: HttpRequest, tally: Tally, reason: str) -> None:
    if tally.refused:
        messages.warning(request, f"{_counted(tally.refused, 'trigger')} left as they were: they {reason}.")


def _named(steps: Sequence[Step]) -> str:
    return ", ".join(f"{step.node_id} ({step.node_type} by {step.provider})" for step in steps)


def _counted(found: Sequence[object], name: str) -> str:
    return f"{len(found):,} {name}{'' if len(found) == 1 else 's'}"
