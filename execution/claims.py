"""Claims: a worker's exclusive, expiring hold on a batch of triggers (DESIGN section 6, T2).

Leases are taken and renewed by the database's clock, and the sweep looks at the same one: a host whose clock is behind
would otherwise lose its leases while it works, and one that is ahead would keep them after its death.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from triggers.arrays import Uuids
from triggers.models import Trigger, TriggerQuerySet
from triggers.sql import run
from triggers.states import TriggerStatus
from workflows.priorities import LANES


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker took: the triggers' ids, oldest first; whether there may be more in the lane."""

    id: UUID
    lane: str
    trigger_ids: tuple[UUID, ...]
    is_full: bool


def lease_length() -> timedelta:
    """Return how long a claim holds without being renewed."""
    return timedelta(seconds=settings.LEASE_SECONDS)


def claim_batch(lane: str, *, limit: int, now: datetime) -> Claim:
    """Take up to `limit` due triggers of `lane`, oldest first, passing over what another worker is taking."""
    return _claim(Trigger.objects.due(lane=lane, now=now), lane, limit=limit, now=now)


def claim_one(trigger: Trigger, *, now: datetime) -> Claim:
    """Take this trigger, under the conditions of a batch; the claim is empty when it is not due or held."""
    return _claim(Trigger.objects.due(lane=trigger.lane, now=now).filter(pk=trigger.pk), trigger.lane, limit=1, now=now)


def claim_late(lane: str, *, limit: int, now: datetime) -> Claim:
    """Take up to `limit` triggers of `lane` that have expired while they waited, due or not."""
    return _claim(Trigger.objects.late(lane=lane, now=now), lane, limit=limit, now=now)


def claim_more(claim: Claim, *, limit: int, now: datetime, passing_over: Collection[tuple[UUID, str]] = ()) -> Claim:
    """Take more of the claim's lane under its id, and return only what is new.

    Passes over what stands at one of these places, each a version and a node. Takes nothing while a more urgent lane
    has something due, which this worker may be the next to take.
    """
    more_urgent = LANES[: LANES.index(claim.lane)]
    if any(Trigger.objects.due(lane=lane, now=now).exists() for lane in more_urgent):
        return Claim(claim.id, claim.lane, (), is_full=False)
    triggers = Trigger.objects.due(lane=claim.lane, now=now)
    for version_id, node_id in passing_over:
        triggers = triggers.exclude(version_id=version_id, current_node_id=node_id)
    return _claim(triggers, claim.lane, limit=limit, now=now, claim_id=claim.id)


@transaction.atomic
def _claim(triggers: TriggerQuerySet, lane: str, *, limit: int, now: datetime, claim_id: UUID | None = None) -> Claim:
    claim_id = claim_id or uuid7()
    due = triggers.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
    ids = tuple(due.values_list("pk", flat=True)[:limit])
    if ids:
        _take(ids, claim_id, now=now)
    return Claim(claim_id, lane, ids, is_full=len(ids) == limit)


def _take(ids: Sequence[UUID], claim_id: UUID, *, now: datetime) -> None:
    if connection.vendor != "postgresql":
        Trigger.objects.filter(pk__in=ids).update(
            status=TriggerStatus.PROCESSING,
            claim_id=claim_id,
            lease_expires_at=Now() + lease_length(),
            updated_at=now,
        )
        return
    run(
        f"UPDATE {connection.ops.quote_name(Trigger._meta.db_table)} SET status = 'processing', claim_id = $2,"  # noqa: S608  # the model's name
        " lease_expires_at = statement_timestamp() + $3, updated_at = $4 WHERE id = ANY($1)",
        [Uuids(ids), claim_id, lease_length(), now],
    )


def renew_lease(claim: Claim) -> None:
    """Hold what is still held for one more lease, from now on."""
    Trigger.objects.held_by(claim.id).update(lease_expires_at=Now() + lease_length())


def lock_held(claim: Claim, trigger_ids: Iterable[UUID]) -> set[UUID]:
    """Lock, inside a transaction, which of these triggers the claim still holds, and return their ids.

    This is the fence: what is not returned must not be moved. It is locked all the same, so that evidence of a lost
    claim and the outcomes of the claim that followed it are recorded one after the other.
    """
    ids = list(trigger_ids)
    if connection.vendor != "postgresql":
        locked = Trigger.objects.filter(pk__in=ids).order_by("pk").select_for_update()
        return {trigger_id for trigger_id, holder in locked.values_list("pk", "claim_id") if holder == claim.id}
    table = connection.ops.quote_name(Trigger._meta.db_table)
    ((held,),) = run(
        f"WITH locked AS (SELECT id, claim_id FROM {table} WHERE id = ANY($1) ORDER BY id FOR UPDATE)"  # noqa: S608  # the model's name
        " SELECT array_agg(id) FILTER (WHERE claim_id = $2) FROM locked",
        [Uuids(ids), claim.id],
    )
    return set(held or ())


def release(claim: Claim, trigger_ids: Iterable[UUID], *, now: datetime) -> int:
    """Give back triggers that no intent was written for; they are due at once. Return how many."""
    return (
        Trigger.objects.held_by(claim.id)
        .filter(pk__in=list(trigger_ids))
        .update(status=TriggerStatus.ENQUEUED, claim_id=None, lease_expires_at=None, updated_at=now)
    )
