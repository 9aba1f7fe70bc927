"""Idempotent acceptance: however often and from wherever a trigger is asked for, it exists once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor, entry_of
from accounts.models import AuditEntry
from triggers import bells
from triggers.models import Trigger
from workflows.keys import is_workflow_id
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority

# What a new row takes from the workflow's own rows; everything else of it is a parameter, here and in the audit trail.
FROM_WORKFLOW = {
    "workflow_id": "w.id",
    "version_id": "v.id",
    "priority": "COALESCE(%s, w.priority)",
    "current_node_id": "{entry_node_id}",
}
ENTRY_NODE_ID = {
    "postgresql": "v.definition ->> 'entry_node_id'",
    "sqlite": "json_extract(v.definition, '$.entry_node_id')",
}
NOTED = {"changes": "jsonb_build_object('workflow', w.key)"}
# The lock that the foreign key takes anyway, taken before the look: a deletion under way is waited for and then seen.
LOCK = {"postgresql": " FOR KEY SHARE OF w", "sqlite": ""}


class UnknownWorkflow(Exception):
    """There is no workflow with that id or key."""


class WorkflowInactive(Exception):
    """The workflow takes no new triggers until it is activated."""


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a client asks for; `workflow` is an id or a key, `priority` defaults to the workflow's.

    What is not sent by `expires_at` is dropped; `ttl` says the same, counted from when the trigger may begin.
    """

    workflow: str
    idempotency_key: str
    recipient: dict[str, Any]
    context: dict[str, Any]
    priority: Priority | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    ttl: timedelta | None = None

    def expiry(self, *, accepted_at: datetime) -> datetime | None:
        """Return when a trigger that was accepted then expires by this request, or None when it never does."""
        if self.ttl is None:
            return self.expires_at
        return _begin(accepted_at, self.scheduled_at) + self.ttl


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The trigger that stands, whether this request made it, and whether it asked for something else."""

    trigger: Trigger
    is_created: bool
    payload_differs: bool = False


def accept_trigger(request: TriggerRequest, *, by: Actor = SYSTEM) -> Acceptance:
    """Insert the trigger once per workflow and idempotency key, with its audit entry, and ring its lane after commit.

    Raises UnknownWorkflow, and WorkflowInactive unless the trigger stands already.
    """
    now = timezone.now()
    trigger = Trigger(
        idempotency_key=request.idempotency_key,
        available_at=_begin(now, request.scheduled_at),
        scheduled_at=request.scheduled_at,
        expires_at=request.expiry(accepted_at=now),
        recipient=request.recipient,
        context=request.context,
        created_at=now,
        updated_at=now,
    )
    if request.priority is not None:
        trigger.priority = request.priority.value
    if not insert_once(trigger, workflow=request.workflow, by=by):
        return _standing(request)
    transaction.on_commit(partial(bells.ring_at, trigger.lane, trigger.available_at, now=now), robust=True)
    return Acceptance(trigger, is_created=True)


def _begin(accepted_at: datetime, scheduled_at: datetime | None) -> datetime:
    return max(accepted_at, scheduled_at or accepted_at)


def insert_once(trigger: Trigger, *, workflow: str, by: Actor = SYSTEM) -> bool:
    """Insert the row for the current version of an active workflow, unless its idempotency key is taken; say whether.

    One statement finds the workflow and inserts, so what it found active was active when the row was made. A twin that
    is being inserted at this moment is waited for by the unique index: after False it can be read. Django has no such
    INSERT, hence the SQL. A trigger without a priority gets the workflow's. What is inserted gets its audit entry: in
    the same statement on PostgreSQL, where a second one would cost a round trip and a transaction around both.
    """
    by_id = is_workflow_id(workflow)
    wanted = Workflow._meta.pk.get_db_prep_value(workflow, connection) if by_id else workflow
    values = [*_parameters(trigger, FROM_WORKFLOW), wanted]
    entry = entry_of(
        by,
        Action.TRIGGER_CREATED,
        object_type="trigger",
        object_id=trigger.pk,
        object_name=trigger.idempotency_key,
    )
    sql = _insert_sql(connection.vendor, "id" if by_id else "key")
    if connection.vendor == "postgresql":
        return _inserted(trigger, _noting_sql(sql), [*values, *_parameters(entry, NOTED)])
    with transaction.atomic():
        is_inserted = _inserted(trigger, sql, values)
        if is_inserted:
            entry.changes = {"workflow": trigger.workflow.key}
            entry.save(force_insert=True)
    return is_inserted


def _inserted(trigger: Trigger, sql: str, values: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    if row is None:
        return False
    _, version_id, trigger.priority, trigger.current_node_id = row
    trigger.version = _version(UUID(str(version_id)))
    trigger.workflow = trigger.version.workflow
    return True


def _parameters(row: Model, computed: Mapping[str, str]) -> list[Any]:
    """Return the values of a row's columns, but for those that the statement takes from elsewhere."""
    return [
        field.get_db_prep_save(field.pre_save(row, True), connection)
        for field in row._meta.concrete_fields
        if "%s" in computed.get(field.attname, "%s")
    ]


def _into(model: type[Model], computed: Mapping[str, str]) -> str:
    """Return `INSERT INTO ... SELECT ...` for all columns of a model, with a parameter for each not computed."""
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column or "") for field in model._meta.concrete_fields)
    values = ", ".join(computed.get(field.attname, "%s") for field in model._meta.concrete_fields)
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) SELECT {values}"


@lru_cache
def _insert_sql(vendor: str, wanted: str) -> str:
    quote = connection.ops.quote_name
    return (
        _into(Trigger, FROM_WORKFLOW).format(entry_node_id=ENTRY_NODE_ID[vendor])
        + f" FROM {quote(Workflow._meta.db_table)} w"
        f" JOIN {quote(WorkflowVersion._meta.db_table)} v ON v.workflow_id = w.id AND v.number = w.version"
        f" WHERE w.{wanted} = %s AND w.is_active{LOCK[vendor]}"
        " ON CONFLICT (workflow_id, idempotency_key) DO NOTHING"
        " RETURNING workflow_id, version_id, priority, current_node_id"
    )


@lru_cache
def _noting_sql(insert: str) -> str:
    """Return the INSERT with the audit entry of what it inserted; a replay inserts nothing and notes nothing."""
    workflows = connection.ops.quote_name(Workflow._meta.db_table)
    return (
        f"WITH made AS ({insert}),"  # noqa: S608  # names of the models
        f" noted AS ({_into(AuditEntry, NOTED)} FROM made JOIN {workflows} w ON w.id = made.workflow_id)"
        " SELECT workflow_id, version_id, priority, current_node_id FROM made"
    )


@lru_cache(maxsize=4096)
def _version(version_id: UUID) -> WorkflowVersion:
    """Return what an answer says of a version and its workflow, and only what never changes."""
    return WorkflowVersion.objects.select_related("workflow").only("number", "workflow__key").get(pk=version_id)


def _standing(request: TriggerRequest) -> Acceptance:
    """Return the trigger that kept the request from being inserted, or raise what else did."""
    workflow = Workflow.objects.named(request.workflow).first()
    if workflow is None:
        raise UnknownWorkflow(request.workflow)
    existing = (
        Trigger.objects.select_related("workflow", "version")
        .filter(workflow=workflow, idempotency_key=request.idempotency_key)
        .first()
    )
    if existing is not None:
        return Acceptance(existing, is_created=False, payload_differs=_differs(existing, request))
    if workflow.deleted_at is not None:
        raise UnknownWorkflow(request.workflow)
    raise WorkflowInactive(workflow.key)


def _differs(existing: Trigger, request: TriggerRequest) -> bool:
    """Say whether the request asks for something else; what it leaves out is not compared with defaults."""
    return (
        existing.recipient != request.recipient
        or existing.context != request.context
        or (request.priority is not None and existing.priority != request.priority)
        or existing.scheduled_at != request.scheduled_at
        or existing.expires_at != request.expiry(accepted_at=existing.created_at)
    )
