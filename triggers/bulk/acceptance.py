"""Set-based acceptance: many triggers of one workflow in one transaction, each as `triggers.acceptance` makes one."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from msgspec import Raw

from accounts.audit import Actor
from triggers import bells
from triggers.acceptance import UnknownWorkflow, WorkflowInactive
from triggers.bulk.items import Item
from triggers.insertion import NewTrigger, begins_at, insert_new
from triggers.models import Trigger
from workflows.models import Workflow
from workflows.priorities import Priority

# Rows of one statement.
ROWS = 1_000


class Accepted(NamedTuple):
    """The trigger that stands by a key, and whether this request made it."""

    idempotency_key: str
    id: str
    created: bool


def accept_all(*, workflow: str, items: Sequence[Item], by: Actor) -> list[Accepted]:
    """Insert the triggers whose keys are free, each with its audit entry; return those that stand, item by item.

    All or none. Items with the same key are one trigger, which is what the first of them says. Each lane is rung once,
    after commit, for the earliest of what is new in it. Raises UnknownWorkflow, and WorkflowInactive unless all stand.
    """
    now = timezone.now()
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.idempotency_key, item)
    with transaction.atomic():
        found = _locked(workflow)
        # Ids rise in the order asked for: lists and claims go by them.
        news = {key: _new(str(found.pk), item, by, now) for key, item in first.items()}
        standing = _insert_all(found, news)
        _ring_after_commit([new for key, new in news.items() if standing[key] is new.id], now=now)
    return [
        # Of items with the same key, the one that the row was made of.
        Accepted(key, str(standing[key]), created=standing[key] is news[key].id and first[key] is item)
        for item in items
        for key in (item.idempotency_key,)
    ]


def _locked(name: str) -> Workflow:
    """Return the workflow, held as a new trigger's foreign key holds it.

    A deletion under way is waited for and then seen, and one that comes waits. Raises UnknownWorkflow.
    """
    wanted = Workflow.objects.named(name)
    if connection.vendor == "postgresql":
        sql, parameters = wanted.values("pk").query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} FOR KEY SHARE", parameters)
    found = wanted.first()
    if found is None:
        raise UnknownWorkflow(name)
    return found


def _new(workflow_id: str, item: Item, by: Actor, now: datetime) -> NewTrigger:
    return NewTrigger(
        named=workflow_id,
        idempotency_key=item.idempotency_key,
        recipient=Raw(item.recipient),
        context=Raw(item.context),
        created_at=now,
        by=by,
        priority=None if item.priority is None else item.priority.value,
        scheduled_at=item.scheduled_at,
        expires_at=item.expires_at if item.ttl is None else begins_at(now, item.scheduled_at) + item.ttl,
    )


def _insert_all(workflow: Workflow, news: dict[str, NewTrigger]) -> dict[str, UUID]:
    """Insert what is free and return the ids of the triggers that stand, by key: of new ones, the very ids they have.

    In the order of the keys, so that two requests with the same ones wait for each other, but never crosswise. Raises
    what keeps those that don't stand from being made.
    """
    standing: dict[str, UUID] = {}
    keys = sorted(news)
    for start in range(0, len(keys), ROWS):
        left = keys[start : start + ROWS]
        while left:
            insert_new([news[key] for key in left])
            standing.update((key, news[key].id) for key in left if news[key].version is not None)
            taken = [key for key in left if news[key].version is None]
            # What was in the way is committed by now; should it be gone again, its key is free.
            standing.update(_standing(workflow, taken))
            left = [key for key in taken if key not in standing]
            if left:
                _require_active(workflow)
    return standing


def _standing(workflow: Workflow, keys: Sequence[str]) -> Iterable[tuple[str, UUID]]:
    if not keys:
        return ()
    found = Trigger.objects.filter(workflow=workflow, idempotency_key__in=keys)
    return found.values_list("idempotency_key", "pk")


def _require_active(workflow: Workflow) -> None:
    """Raise what keeps triggers of the workflow from being made, if anything does."""
    now = Workflow.objects.get(pk=workflow.pk)
    if now.deleted_at is not None or not now.versions.filter(number=now.version).exists():
        raise UnknownWorkflow(now.key)
    if not now.is_active:
        raise WorkflowInactive(now.key)


def _ring_after_commit(made: Sequence[NewTrigger], *, now: datetime) -> None:
    """Ring each lane once, for the earliest in it; what comes later than that, the sweep rings for."""
    earliest: dict[int, datetime] = {}
    for new in made:
        if new.priority is not None:
            earliest[new.priority] = min(new.available_at, earliest.get(new.priority, new.available_at))
    for priority, moment in earliest.items():
        bells.ring_on_commit(Priority(priority).lane, moment, now=now)
