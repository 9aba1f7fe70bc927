"""New triggers and their audit entries, written together: one statement for however many there are.

On PostgreSQL the rows travel as arrays, and what they have in common once (docs/adr/0014-rows-as-arrays.md); elsewhere
each row has statements of its own, in one transaction.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from msgspec import Raw, Struct, field
from uuid_utils.compat import uuid7

from accounts.audit import Action, Actor, entry_of
from accounts.models import AuditEntry
from triggers.arrays import Integers, Moments, Texts, Uuids
from triggers.kinds import Kinds
from triggers.models import Trigger
from triggers.sql import columns_of, insert_into, parameters_of, run
from triggers.states import TriggerStatus
from workflows.keys import is_workflow_id
from workflows.models import Workflow, WorkflowVersion

ENTRY_NODE_ID = {
    "postgresql": "v.definition ->> 'entry_node_id'",
    "sqlite": "json_extract(v.definition, '$.entry_node_id')",
}
# What triggers of one moment mostly have in common, and who asked for them.
KIND_OF_TRIGGER = ("priority", "scheduled_at", "expires_at")
KIND_OF_ENTRY = ("actor_id", "actor", "role", "via", "key_prefix", "address")
TRIGGER = {
    "id": "r.id",
    "workflow_id": "r.workflow_id",
    "version_id": "r.version_id",
    "idempotency_key": "r.idempotency_key",
    "priority": "r.priority",
    "current_node_id": "r.current_node_id",
    "status": f"'{TriggerStatus.ENQUEUED.value}'",
    "available_at": "GREATEST(r.created_at, r.scheduled_at)",
    "last_step_status": "''",
    "attempts": "0",
    "scheduled_at": "r.scheduled_at",
    "expires_at": "r.expires_at",
    "created_at": "r.created_at",
    "updated_at": "r.created_at",
    "failed_nodes": "'[]'",
    "recipient": "r.recipient::jsonb",
    "context": "r.context::jsonb",
}
ENTRY = {name: f"r.{name}" for name in KIND_OF_ENTRY} | {
    "id": "r.entry_id",
    "at": "r.created_at",
    "action": f"'{Action.TRIGGER_CREATED.value}'",
    "object_type": "'trigger'",
    "object_id": "r.id",
    "object_name": "r.idempotency_key",
    "changes": "r.changes",
    "request_id": "r.request_id",
}


def begins_at(accepted_at: datetime, scheduled_at: datetime | None) -> datetime:
    """Return when a trigger may begin that was accepted then, and is wanted then if it says so."""
    return max(accepted_at, scheduled_at or accepted_at)


class NewTrigger(Struct):
    """What becomes a row, by the names of `Trigger`, of a workflow that is named by its id or key; `by` asks for it.

    Recipient and context may be JSON already. Once it has been inserted it has a version, and with it what the workflow
    gives: priority and node.
    """

    named: str
    idempotency_key: str
    recipient: dict[str, Any] | Raw
    context: dict[str, Any] | Raw
    created_at: datetime
    by: Actor
    priority: int | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    current_node_id: str = ""
    version: WorkflowVersion | None = None
    id: UUID = field(default_factory=uuid7)
    entry_id: UUID = field(default_factory=uuid7)

    @property
    def available_at(self) -> datetime:
        """When it may begin."""
        return begins_at(self.created_at, self.scheduled_at)

    def trigger(self) -> Trigger:
        """Return it as Django has it."""
        made = Trigger(
            id=self.id,
            idempotency_key=self.idempotency_key,
            available_at=self.available_at,
            scheduled_at=self.scheduled_at,
            expires_at=self.expires_at,
            recipient=_read(self.recipient),
            context=_read(self.context),
            current_node_id=self.current_node_id,
            created_at=self.created_at,
            updated_at=self.created_at,
        )
        if self.priority is not None:
            made.priority = self.priority
        if self.version is not None:
            made.version, made.workflow = self.version, self.version.workflow
        return made

    def entry(self) -> AuditEntry:
        """Return what notes it in the audit trail."""
        changes = {"workflow": self.version.workflow.key} if self.version else {}
        made = entry_of(
            self.by,
            Action.TRIGGER_CREATED,
            object_type="trigger",
            object_id=self.id,
            object_name=self.idempotency_key,
            changes=changes,
        )
        made.id, made.at = self.entry_id, self.created_at
        return made


def _read(value: dict[str, Any] | Raw) -> Any:
    return msgspec.json.decode(value) if isinstance(value, Raw) else value


def insert_new(asked: Iterable[NewTrigger]) -> set[UUID]:
    """Insert each row for the current version of its active workflow, unless its idempotency key is taken.

    Returns the ids of those inserted, which then have what their workflow gave them. One statement finds the workflow
    and inserts, so what it found active was active when the row was made. A twin that is being inserted at this moment
    is waited for by the unique index, in an order that all inserters keep: for what is not returned, the row that
    stands can be read. Django has no such INSERT, hence the SQL.
    """
    groups: defaultdict[str, list[NewTrigger]] = defaultdict(list)
    for each in asked:
        groups["id" if is_workflow_id(each.named) else "key"].append(each)
    if connection.vendor == "postgresql" and len(groups) == 1:
        ((wanted, news),) = groups.items()
        return _insert_together(wanted, news)
    with transaction.atomic():
        insert = _insert_together if connection.vendor == "postgresql" else _insert_one_by_one
        return {made for wanted, news in groups.items() for made in insert(wanted, news)}


def _insert_together(wanted: str, news: list[NewTrigger]) -> set[UUID]:
    ordered = sorted(news, key=lambda new: (new.named, new.idempotency_key))
    kinds: Kinds[dict[str, Any]] = Kinds()
    numbers = [_number_of(kinds, new) for new in ordered]
    rows = run(
        _together_sql(wanted),
        [
            Uuids([new.id for new in ordered]),
            Uuids([new.entry_id for new in ordered]),
            Texts([new.idempotency_key for new in ordered]),
            Texts([msgspec.json.encode(new.recipient) for new in ordered]),
            Texts([msgspec.json.encode(new.context) for new in ordered]),
            Texts([new.by.request_id for new in ordered]),
            Moments([new.created_at for new in ordered]),
            Integers(numbers),
            kinds.encoded(),
        ],
    )
    made = {row[0]: row[1:] for row in rows}
    for new in news:
        if new.id in made:
            _complete(new, made[new.id])
    return set(made)


def _number_of(kinds: Kinds[dict[str, Any]], new: NewTrigger) -> int:
    by = new.by
    kind = {
        "named": new.named,
        "priority": new.priority,
        "scheduled_at": new.scheduled_at,
        "expires_at": new.expires_at,
        "actor_id": by.user_id,
        "actor": by.name,
        "role": by.role,
        "via": by.via.value,
        "key_prefix": by.key_prefix,
        "address": by.address,
    }
    return kinds.number(tuple(kind.values()), kind)


def _insert_one_by_one(wanted: str, news: list[NewTrigger]) -> set[UUID]:
    made = set()
    for new in news:
        values = [*parameters_of(new.trigger(), _from_workflow("%s")), new.named]
        if wanted == "id":
            values[-1] = Workflow._meta.pk.get_db_prep_value(new.named, connection)
        with connection.cursor() as cursor:
            cursor.execute(_single_sql(wanted), values)
            row = cursor.fetchone()
        if row is not None:
            _complete(new, row[1:])
            made.add(new.id)
    AuditEntry.objects.bulk_create([new.entry() for new in news if new.id in made])
    return made


def _complete(new: NewTrigger, row: Sequence[Any]) -> None:
    version_id, new.priority, new.current_node_id = row
    new.version = _version(version_id if isinstance(version_id, UUID) else UUID(version_id))


@lru_cache(maxsize=4096)
def _version(version_id: UUID) -> WorkflowVersion:
    """Return what an answer says of a version and its workflow, and only what never changes."""
    return WorkflowVersion.objects.select_related("workflow").only("number", "workflow__key").get(pk=version_id)


@lru_cache
def _together_sql(wanted: str) -> str:
    """Return the INSERT with the audit entries of what it inserted; a replay inserts nothing and notes nothing.

    The workflow is looked up, and locked, once for each kind of row, of which there are few.
    """
    workflows = connection.ops.quote_name(Workflow._meta.db_table)
    named = f"named {'uuid' if wanted == 'id' else 'text'}"
    of_both = f"{columns_of(Trigger, KIND_OF_TRIGGER)}, {columns_of(AuditEntry, KIND_OF_ENTRY)}"
    own = ", ".join(f"k.{name}" for name in ("kind", "scheduled_at", "expires_at", *KIND_OF_ENTRY))
    from_workflow = ", ".join(f"{value} AS {name}" for name, value in _from_workflow("k.priority").items())
    # The lock is what the foreign key takes anyway, taken before the look: a deletion under way is waited for and seen.
    return (
        f"WITH kinds AS (SELECT {own}, {from_workflow}, jsonb_build_object('workflow', w.key) AS changes"  # noqa: S608  # names of the models
        f" FROM jsonb_to_recordset($9::text::jsonb) AS k(kind integer, {named}, {of_both})"
        f" JOIN {workflows} w ON w.{wanted} = k.named{_version_join()} WHERE w.is_active FOR KEY SHARE OF w),"
        " r AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY"
        " AS a(id, entry_id, idempotency_key, recipient, context, request_id, created_at, kind, n)"
        " JOIN kinds USING (kind)),"
        f" made AS ({insert_into(Trigger, TRIGGER, 'NULL')} FROM r ORDER BY r.n"
        " ON CONFLICT (workflow_id, idempotency_key) DO NOTHING"
        " RETURNING id, version_id, priority, current_node_id),"
        f" noted AS ({insert_into(AuditEntry, ENTRY, 'NULL')} FROM r JOIN made USING (id))"
        " SELECT id, version_id, priority, current_node_id FROM made"
    )


@lru_cache
def _single_sql(wanted: str) -> str:
    workflows = connection.ops.quote_name(Workflow._meta.db_table)
    return (
        f"{insert_into(Trigger, _from_workflow('%s'))} FROM {workflows} w{_version_join()}"
        f" WHERE w.{wanted} = %s AND w.is_active"
        " ON CONFLICT (workflow_id, idempotency_key) DO NOTHING"
        " RETURNING id, version_id, priority, current_node_id"
    )


def _version_join() -> str:
    versions = connection.ops.quote_name(WorkflowVersion._meta.db_table)
    return f" JOIN {versions} v ON v.workflow_id = w.id AND v.number = w.version"


def _from_workflow(value: str) -> dict[str, str]:
    """Return what a new row takes from the workflow's own rows, where `value` makes the rest."""
    return {
        "workflow_id": "w.id",
        "version_id": "v.id",
        "priority": f"COALESCE({value}, w.priority)",
        "current_node_id": ENTRY_NODE_ID[connection.vendor],
    }
