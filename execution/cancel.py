"""Cancel: end triggers now, and say what was already sent, what is being sent, and what never will be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor
from execution.clock import database_now
from execution.deeds import note
from execution.models import Step
from execution.states import StepStatus, check_trigger_move
from triggers.models import Trigger, TriggerQuerySet
from triggers.states import FINISHED, UNDER_WAY, TriggerStatus
from workflows.node_types import DELAY

# What one call of a cancel by filter ends at most; the answer says how many are left.
MOST_AT_ONCE = 1_000
# How many of them are ended by one transaction.
TOGETHER = 100
# Steps whose message may be at the provider, and nobody knows yet.
OPEN = (StepStatus.RUNNING, StepStatus.IN_DOUBT)


class AlreadyFinished(Exception):
    """The trigger has ended; `status` says how."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The trigger is {status} already.")
        self.status = status


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The canceled trigger and its messages.

    `sent` are the steps that were sent, `in_flight` those that a worker is sending at this moment or whose worker was
    lost while it did, `never` the nodes whose message was still to come and never will.
    """

    trigger: Trigger
    sent: list[Step]
    in_flight: list[Step]
    never: list[str]


@transaction.atomic
def cancel_trigger(trigger_id: UUID, *, by: Actor = SYSTEM) -> Cancellation:
    """End the trigger; nothing that is not in flight will be sent any more.

    A worker that holds it loses its claim with this and can't write another intent; a send that is under way ends as
    evidence in its step. Raises Trigger.DoesNotExist and AlreadyFinished.
    """
    trigger = Trigger.objects.select_for_update(of=("self",)).select_related("workflow", "version").get(pk=trigger_id)
    if trigger.status in FINISHED:
        raise AlreadyFinished(trigger.status)
    _end([trigger], by=by)
    messages = list(Step.objects.filter(trigger=trigger).exclude(provider="").order_by("pk"))
    sent = [step for step in messages if step.status == StepStatus.SUCCEEDED]
    in_flight = [step for step in messages if step.status in OPEN]
    return Cancellation(trigger, sent, in_flight, _never_sent(trigger, [*sent, *in_flight]))


@dataclass(slots=True)
class Canceled:
    """What one call of a cancel by filter did: how many it ended, how many of their messages were in flight.

    `remaining` counts those behind `last_id`, the last it came to.
    """

    count: int = 0
    in_flight: int = 0
    remaining: int = 0
    last_id: UUID | None = None


def cancel_matching(
    triggers: TriggerQuerySet,
    *,
    statuses: Sequence[str] = UNDER_WAY,
    after_id: UUID | None = None,
    is_dry_run: bool = False,
    by: Actor = SYSTEM,
    chosen_by: dict[str, Any] | None = None,
) -> Canceled:
    """End the oldest triggers of a selection that are under way, up to MOST_AT_ONCE, beginning behind `after_id`.

    Who goes on behind `last_id` reaches all of them. Each trigger gets an audit entry, which tells `chosen_by`, as
    JSON. A dry run counts what would be ended now, and changes nothing.
    """
    found = triggers.filter(status__in=statuses)
    if after_id is not None:
        found = found.filter(pk__gt=after_id)
    ids = list(found.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE])
    done = Canceled(last_id=ids[-1] if ids else after_id)
    for first in range(0, len(ids), TOGETHER):
        some = ids[first : first + TOGETHER]
        ended = some if is_dry_run else _cancel_together(some, statuses, by=by, chosen_by=chosen_by)
        done.count += len(ended)
        done.in_flight += _messages(ended).filter(status__in=OPEN).count()
    done.remaining = found.filter(pk__gt=done.last_id).count() if ids else 0
    return done


def _cancel_together(
    trigger_ids: Sequence[UUID], statuses: Sequence[str], *, by: Actor, chosen_by: dict[str, Any] | None
) -> list[UUID]:
    """End what still stands so, and return the ids of those.

    Nothing is waited for while others are locked, so that no worker and no other cancel ends up in a deadlock with
    this one: rows that somebody is writing are taken one by one afterwards.
    """
    found = Trigger.objects.without_bodies().filter(status__in=statuses)
    with transaction.atomic():
        free = found.filter(pk__in=trigger_ids).order_by("pk")
        ended = list(free.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked))
        _end(ended, by=by, chosen_by=chosen_by)
    ids = [trigger.pk for trigger in ended]
    for trigger_id in sorted(set(trigger_ids) - set(ids)):
        with transaction.atomic():
            last = list(found.filter(pk=trigger_id).select_for_update())
            _end(last, by=by, chosen_by=chosen_by)
        ids += [trigger.pk for trigger in last]
    return ids


def _end(triggers: Sequence[Trigger], *, by: Actor, chosen_by: dict[str, Any] | None = None) -> None:
    """End locked triggers: with their delays, and with the sends of those whose worker is lost found in doubt."""
    if not triggers:
        return
    now = timezone.now()
    found = {"filter": chosen_by} if chosen_by else {}
    for trigger in triggers:
        check_trigger_move(trigger.status, TriggerStatus.CANCELED)
        note(by, Action.TRIGGER_CANCELED, trigger, {"status": [trigger.status, TriggerStatus.CANCELED], **found})
    ids = [trigger.pk for trigger in triggers]
    steps = Step.objects.filter(trigger__in=ids)
    steps.filter(status=StepStatus.WAITING).update(status=StepStatus.SKIPPED, finished_at=now)
    # A step of a lease that is over would look as if it was being sent, until a sweep looks for orphans much later.
    steps.filter(trigger__in=_lost(triggers), status=StepStatus.RUNNING).update(
        status=StepStatus.IN_DOUBT, finished_at=now
    )
    changes: dict[str, Any] = {
        "status": TriggerStatus.CANCELED.value,
        "completed_at": now,
        "updated_at": now,
        "claim_id": None,
        "lease_expires_at": None,
    }
    Trigger.objects.filter(pk__in=ids).update(**changes)
    for trigger in triggers:
        for name, value in changes.items():
            setattr(trigger, name, value)


def _lost(triggers: Iterable[Trigger]) -> list[UUID]:
    """Return the ids of those whose lease is over."""
    leased = [(trigger.pk, trigger.lease_expires_at) for trigger in triggers]
    now = database_now()
    return [trigger_id for trigger_id, lease in leased if lease is not None and lease < now]


def _messages(trigger_ids: Iterable[UUID]) -> QuerySet[Step]:
    return Step.objects.filter(trigger__in=list(trigger_ids)).exclude(provider="")


def _never_sent(trigger: Trigger, steps: Iterable[Step]) -> list[str]:
    """Return the message nodes, in definition order, that had not ended and none of these steps is of."""
    known = {step.node_id for step in steps} | set((trigger.run_state or {}).get("ended", ()))
    nodes = trigger.version.definition["nodes"]
    return [node["id"] for node in nodes if node["type"] != DELAY and node["id"] not in known]
