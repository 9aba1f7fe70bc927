"""Set-based acceptance: many triggers of one workflow in one transaction, each as `triggers.acceptance` makes one."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from uuid_utils import uuid7

from accounts.audit import Action, Actor, entry_of
from accounts.models import AuditEntry
from triggers import bells
from triggers.acceptance import UnknownWorkflow, WorkflowInactive
from triggers.bulk.items import Item, to_json
from triggers.models import Trigger
from triggers.sql import insert_into, parameters_of
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority

# Rows of one statement.
ROWS = 1_000
# What a row has of its own, and how it gets into the trigger; everything else is the same for all, and a parameter.
OWN = ("id", "idempotency_key", "priority", "available_at", "scheduled_at", "expires_at", "recipient", "context")
OF_A_TRIGGER = {name: f"r.{name}" for name in OWN} | {
    "priority": "COALESCE(r.priority, %s)",
    "available_at": "COALESCE(r.available_at, %s)",
}
OF_AN_ENTRY = {"id": "r.entry_id", "object_id": "made.id", "object_name": "made.idempotency_key"}
NOTHING_ASKED = Item("", "{}", "{}")


class Accepted(NamedTuple):
    """The trigger that stands by a key, and whether this request made it."""

    idempotency_key: str
    id: str
    created: bool


class Row(NamedTuple):
    """A trigger to be inserted unless its key is taken, and the id of the entry that then notes it."""

    id: str
    entry_id: str
    item: Item
    accepted_at: datetime

    @property
    def available_at(self) -> datetime:
        """When it may begin."""
        return max(self.accepted_at, self.item.scheduled_at or self.accepted_at)

    @property
    def expires_at(self) -> datetime | None:
        """From when on nothing of it is sent."""
        return self.item.expires_at if self.item.ttl is None else self.available_at + self.item.ttl

    def as_json(self) -> str:
        """Return what the statement takes; what is left out is null, or the same for all."""
        item, more = self.item, ""
        if item.priority is not None:
            more = f',"priority":{item.priority.value}'
        if item.scheduled_at is not None:
            more += (
                f',"scheduled_at":"{item.scheduled_at.isoformat()}","available_at":"{self.available_at.isoformat()}"'
            )
        if (expires_at := self.expires_at) is not None:
            more += f',"expires_at":"{expires_at.isoformat()}"'
        return (
            f'{{"id":"{self.id}","entry_id":"{self.entry_id}","idempotency_key":{to_json(item.idempotency_key)}'
            f',"recipient":{item.recipient},"context":{item.context}{more}}}'
        )

    def trigger(self, version: WorkflowVersion) -> Trigger:
        """Return it as an object that is not stored."""
        item = self.item
        return Trigger(
            id=self.id,
            workflow=version.workflow,
            version=version,
            idempotency_key=item.idempotency_key,
            priority=version.workflow.priority if item.priority is None else item.priority.value,
            available_at=self.available_at,
            current_node_id=version.definition["entry_node_id"],
            scheduled_at=item.scheduled_at,
            expires_at=self.expires_at,
            recipient=json.loads(item.recipient),
            context=json.loads(item.context),
            created_at=self.accepted_at,
            updated_at=self.accepted_at,
        )


def accept_all(*, workflow: str, items: Sequence[Item], by: Actor) -> list[Accepted]:
    """Insert the triggers whose keys are free, each with its audit entry; return those that stand, item by item.

    All or none. Items with the same key are one trigger, which is what the first of them says. Each lane is rung once,
    after commit, for the earliest of what is new in it. Raises UnknownWorkflow, and WorkflowInactive unless all stand.
    """
    now = timezone.now()
    rows: dict[str, Row] = {}
    for item in items:
        if item.idempotency_key not in rows:
            # Ids rise in the order asked for: lists and claims go by them.
            rows[item.idempotency_key] = Row(str(uuid7()), str(uuid7()), item, now)
    with transaction.atomic():
        version = _locked(workflow)
        standing = _insert_all(version, rows, by=by) if version.workflow.is_active else _all_standing(version, rows)
        made = [row for key, row in rows.items() if standing[key] == row.id]
        _ring_after_commit(made, Priority(version.workflow.priority), now=now)
    return [
        # Of items with the same key, the one that the row was made of.
        Accepted(key, standing[key], created=standing[key] == rows[key].id and rows[key].item is item)
        for item in items
        for key in (item.idempotency_key,)
    ]


def _locked(name: str) -> WorkflowVersion:
    """Return the workflow's current version, the workflow held as a new trigger's foreign key holds it.

    A deletion under way is waited for and then seen, and one that comes waits. Raises UnknownWorkflow.
    """
    wanted = Workflow.objects.named(name)
    if connection.vendor == "postgresql":
        sql, parameters = wanted.values("pk").query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} FOR KEY SHARE", parameters)
    versions = WorkflowVersion.objects.select_related("workflow").filter(workflow__in=wanted)
    current = versions.filter(number=F("workflow__version")).first()
    if current is None:
        raise UnknownWorkflow(name)
    return current


def _all_standing(version: WorkflowVersion, keys: Collection[str]) -> dict[str, str]:
    """Return the ids of the triggers by their keys. Raises what keeps those that don't stand from being made."""
    standing = _standing(version.workflow, keys)
    if len(standing) == len(keys):
        return standing
    if version.workflow.deleted_at is not None:
        raise UnknownWorkflow(version.workflow.key)
    raise WorkflowInactive(version.workflow.key)


def _standing(workflow: Workflow, keys: Collection[str]) -> dict[str, str]:
    standing: dict[str, str] = {}
    wanted = list(keys)
    for start in range(0, len(wanted), ROWS):
        found = Trigger.objects.filter(workflow=workflow, idempotency_key__in=wanted[start : start + ROWS])
        standing.update((key, str(pk)) for key, pk in found.values_list("idempotency_key", "pk"))
    return standing


def _insert_all(version: WorkflowVersion, rows: dict[str, Row], *, by: Actor) -> dict[str, str]:
    """Insert what is free and return the ids of the triggers that stand, by key.

    In the order of the keys, so that two requests with the same ones wait for each other, but never crosswise.
    """
    standing: dict[str, str] = {}
    keys = sorted(rows)
    for start in range(0, len(keys), ROWS):
        left = [rows[key] for key in keys[start : start + ROWS]]
        while left:
            made = _insert(version, left, by=by)
            standing.update((row.item.idempotency_key, row.id) for row in left if row.id in made)
            taken = [row for row in left if row.id not in made]
            # What was in the way is committed by now; should it be gone again, its key is free.
            standing.update(_standing(version.workflow, [row.item.idempotency_key for row in taken]))
            left = [row for row in taken if row.item.idempotency_key not in standing]
    return standing


def _insert(version: WorkflowVersion, rows: Sequence[Row], *, by: Actor) -> set[str]:
    """Insert the rows whose keys are free, and their entries; return the ids of those."""
    changes = {"workflow": version.workflow.key}
    entry = entry_of(by, Action.TRIGGER_CREATED, object_type="trigger", object_id=None, changes=changes)
    if connection.vendor != "postgresql":
        return _insert_elsewhere(version, rows, entry)
    # One parameter for all rows: they came as JSON, and a thousand of them share one plan.
    common = Row(rows[0].id, rows[0].entry_id, NOTHING_ASKED, rows[0].accepted_at).trigger(version)
    with connection.cursor() as cursor:
        cursor.execute(
            _insert_sql(),
            [
                f"[{','.join([row.as_json() for row in rows])}]",
                *parameters_of(common, OF_A_TRIGGER),
                *parameters_of(entry, OF_AN_ENTRY),
            ],
        )
        return {str(pk) for (pk,) in cursor.fetchall()}


def _insert_elsewhere(version: WorkflowVersion, rows: Sequence[Row], entry: AuditEntry) -> set[str]:
    """Do the same without PostgreSQL's own SQL; only the embedded profile's SQLite comes here."""
    Trigger.objects.bulk_create([row.trigger(version) for row in rows], ignore_conflicts=True)
    stored = Trigger.objects.filter(pk__in=[row.id for row in rows])
    made = {str(pk) for pk in stored.values_list("pk", flat=True)}
    about = {field.attname: getattr(entry, field.attname) for field in AuditEntry._meta.concrete_fields}
    AuditEntry.objects.bulk_create(
        AuditEntry(**about | {"id": row.entry_id, "object_id": row.id, "object_name": row.item.idempotency_key})
        for row in rows
        if row.id in made
    )
    return made


@lru_cache
def _insert_sql() -> str:
    """Return the statement that makes rows of its first parameter, inserts those with free keys, and notes each."""
    types = {name: Trigger._meta.get_field(name).db_type(connection) for name in OWN} | {"entry_id": "uuid"}
    typed = ", ".join(f"{name} {kind}" for name, kind in types.items())
    return (
        f"WITH asked AS (SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r({typed})),"  # noqa: S608  # names of the models
        f" made AS ({insert_into(Trigger, OF_A_TRIGGER)} FROM asked r"
        " ON CONFLICT (workflow_id, idempotency_key) DO NOTHING RETURNING id, idempotency_key),"
        f" noted AS ({insert_into(AuditEntry, OF_AN_ENTRY)} FROM made JOIN asked r ON r.id = made.id)"
        " SELECT id FROM made"
    )


def _ring_after_commit(made: Sequence[Row], usual: Priority, *, now: datetime) -> None:
    """Ring each lane once, for the earliest in it; what comes later than that, the sweep rings for."""
    earliest: dict[Priority, datetime] = {}
    for row in made:
        priority = usual if row.item.priority is None else row.item.priority
        earliest[priority] = min(row.available_at, earliest.get(priority, row.available_at))
    for priority, moment in earliest.items():
        bells.ring_on_commit(priority.lane, moment, now=now)
