"""What a person decides about dead letters: redrive or discard, one or many; many at a rate that providers bear."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor, record
from execution import redrive
from execution.dead_letters import Selection
from execution.models import DeadLetter, DeadLetterQuerySet, LetterState
from execution.redrive import REFUSALS, NotOpen, Redriven, WhichVersion, redrive_trigger
from triggers.models import Trigger

# How many redriven triggers go on in each second, where nobody says otherwise.
PER_SECOND = 50
MOST_PER_SECOND = 10_000
LONGEST_REASON = 500


def redrive_letter(
    letter_id: UUID,
    *,
    version: WhichVersion = WhichVersion.PINNED,
    by: Actor = SYSTEM,
    chosen_by: dict[str, Any] | None = None,
    not_before: datetime | None = None,
) -> Trigger:
    """Redrive the trigger of an open dead letter.

    Raises DeadLetter.DoesNotExist, NotOpen, WorkflowDeleted, NodeGone and VersionIncompatible.
    """
    trigger_id = DeadLetter.objects.values_list("trigger_id", flat=True).get(pk=letter_id)
    return redrive_trigger(
        trigger_id, by=by, chosen_by=chosen_by, version=version, not_before=not_before, letter_id=letter_id
    )


@transaction.atomic
def discard_letter(
    letter_id: UUID, *, reason: str, by: Actor = SYSTEM, chosen_by: dict[str, Any] | None = None
) -> DeadLetter:
    """Close an open dead letter for good; its trigger stays failed. `reason` is a sentence of whoever decides.

    Raises DeadLetter.DoesNotExist and NotOpen.
    """
    letter = DeadLetter.objects.select_related("trigger").get(pk=letter_id)
    # A redrive locks the trigger first, and so does this: one of the two finds what the other did.
    Trigger.objects.select_for_update(no_key=True).only("pk").get(pk=letter.trigger_id)
    letter.refresh_from_db(fields=["redriven_at", "discarded_at"])
    if letter.state is not LetterState.OPEN:
        raise NotOpen(letter.state)
    letter.discarded_at, letter.discarded_by, letter.discard_reason = timezone.now(), by.name, reason
    letter.save(update_fields=["discarded_at", "discarded_by", "discard_reason"])
    record(
        by,
        Action.DEAD_LETTER_DISCARDED,
        object_type="dead_letter",
        object_id=letter.pk,
        object_name=letter.trigger.idempotency_key,
        changes={
            "state": [LetterState.OPEN, LetterState.DISCARDED],
            "reason": reason,
            "trigger": str(letter.trigger_id),
            **({"filter": chosen_by} if chosen_by else {}),
        },
    )
    return letter


def redrivable(wanted: Selection) -> DeadLetterQuerySet:
    """Return what a redrive by filter takes up: the open letters that are meant, of workflows that are there."""
    return wanted.of(DeadLetter.objects.redrivable())


def discardable(wanted: Selection) -> DeadLetterQuerySet:
    """Return what a discard by filter closes: the open letters that are meant."""
    return wanted.of(DeadLetter.objects.open())


def redrive_letters(
    wanted: Selection,
    *,
    per_second: int = PER_SECOND,
    limit: int | None = None,
    after_id: UUID | None = None,
    version: WhichVersion = WhichVersion.PINNED,
    by: Actor = SYSTEM,
) -> Redriven:
    """Redrive open dead letters, up to `limit`, so that `per_second` of their triggers go on in each second.

    The spread begins behind what earlier calls have spread already. Each is redriven in a transaction of its own: what
    an interrupted call did stands, and the next one finds the rest.
    """
    gap = timedelta(seconds=1) / per_second
    slot = _first_slot(gap)
    done = Redriven()

    def one(letter_id: UUID) -> None:
        nonlocal slot
        redrive_letter(letter_id, version=version, by=by, chosen_by=wanted.told(), not_before=slot)
        done.spread_until = slot
        slot += gap

    return _each(redrivable(wanted), one, done, limit=limit, after_id=after_id)


def discard_letters(
    wanted: Selection, *, reason: str, limit: int | None = None, after_id: UUID | None = None, by: Actor = SYSTEM
) -> Redriven:
    """Discard open dead letters, up to `limit`, each in a transaction of its own."""

    def one(letter_id: UUID) -> None:
        discard_letter(letter_id, reason=reason, by=by, chosen_by=wanted.told())

    return _each(discardable(wanted), one, Redriven(), limit=limit, after_id=after_id)


def _each(
    letters: DeadLetterQuerySet,
    deed: Callable[[UUID], None],
    done: Redriven,
    *,
    limit: int | None,
    after_id: UUID | None,
) -> Redriven:
    """Do something to the letters in the order of their triggers, oldest first, beginning behind `after_id`.

    Not in the order of the letters themselves: a trigger that fails again gets a new one, which would come behind, and
    a walk in several calls would redrive it over and over.
    """
    if after_id is not None:
        letters = letters.filter(trigger_id__gt=after_id)
    done.last_id = after_id
    most = min(limit or redrive.MOST_AT_ONCE, redrive.MOST_AT_ONCE)
    for letter_id, trigger_id in letters.order_by("trigger_id").values_list("pk", "trigger_id")[:most]:
        done.last_id = trigger_id
        try:
            deed(letter_id)
        except REFUSALS as refusal:
            done.refused[refusal.code] += 1
            continue
        done.count += 1
    done.remaining = 0 if done.last_id is None else letters.filter(trigger_id__gt=done.last_id).count()
    return done


def _first_slot(gap: timedelta) -> datetime:
    """Return the first moment at which nothing else goes on within `gap`, also where the last has just gone on."""
    now = timezone.now()
    last = DeadLetter.objects.filter(goes_on_at__gt=now - gap).aggregate(last=Max("goes_on_at"))["last"]
    return now if last is None else last + gap
