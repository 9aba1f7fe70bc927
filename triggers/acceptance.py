"""Idempotent acceptance: however often and from wherever a trigger is asked for, it exists once."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.fields.json import KT
from django.utils import timezone

from triggers import bells
from triggers.models import Trigger
from workflows.keys import is_workflow_id
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority

# In the order of the models, as from_db wants them.
VERSION_FIELDS = ("id", "workflow_id", "number")
WORKFLOW_FIELDS = ("id", "key", "priority", "is_active", "deleted_at")
# Built once: half of what this query costs a request is Django's making of it.
CURRENT_VERSIONS = (
    WorkflowVersion.objects.filter(number=F("workflow__version"))
    .annotate(entry_node_id=KT("definition__entry_node_id"))
    .values_list("entry_node_id", *VERSION_FIELDS, *(f"workflow__{name}" for name in WORKFLOW_FIELDS))
)


class UnknownWorkflow(Exception):
    """There is no workflow with that id or key."""


class WorkflowInactive(Exception):
    """The workflow takes no new triggers until it is activated."""


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a client asks for; `workflow` is an id or a key, `priority` defaults to the workflow's."""

    workflow: str
    idempotency_key: str
    recipient: dict[str, Any]
    context: dict[str, Any]
    priority: Priority | None = None
    scheduled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The trigger that stands, whether this request made it, and whether it asked for something else."""

    trigger: Trigger
    is_created: bool
    payload_differs: bool = False


def accept_trigger(request: TriggerRequest) -> Acceptance:
    """Insert the trigger once per workflow and idempotency key, and ring its lane after commit.

    Raises UnknownWorkflow, and WorkflowInactive unless the trigger stands already.
    """
    version, entry_node_id = _current_version(request.workflow)
    workflow = version.workflow
    if not workflow.is_active:
        try:
            return _replay(request, version)
        except Trigger.DoesNotExist:
            if workflow.deleted_at:
                raise UnknownWorkflow(request.workflow) from None
            raise WorkflowInactive(workflow.key) from None
    now = timezone.now()
    trigger = Trigger(
        workflow=workflow,
        version=version,
        idempotency_key=request.idempotency_key,
        priority=workflow.priority if request.priority is None else request.priority.value,
        available_at=max(now, request.scheduled_at or now),
        scheduled_at=request.scheduled_at,
        current_node_id=entry_node_id,
        recipient=request.recipient,
        context=request.context,
        created_at=now,
        updated_at=now,
    )
    if not insert_once(trigger):
        return _replay(request, version)
    transaction.on_commit(partial(bells.ring_at, trigger.lane, trigger.available_at, now=now), robust=True)
    return Acceptance(trigger, is_created=True)


def insert_once(trigger: Trigger) -> bool:
    """Insert the row unless its workflow and idempotency key are taken; say whether it was inserted.

    One statement in autocommit: a twin that is being inserted at this moment is waited for by the unique index, so
    after False the other one can be read. Django has no INSERT that skips a conflict and says so, hence the SQL.
    """
    fields = [(field, field.column or "") for field in Trigger._meta.concrete_fields]
    quote = connection.ops.quote_name
    sql = "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT ({conflict}) DO NOTHING".format(  # noqa: S608  # names come from the model
        table=quote(Trigger._meta.db_table),
        columns=", ".join(quote(column) for _, column in fields),
        values=", ".join(["%s"] * len(fields)),
        conflict=f"{quote('workflow_id')}, {quote('idempotency_key')}",
    )
    values = [field.get_db_prep_save(field.pre_save(trigger, True), connection) for field, _ in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return bool(cursor.rowcount == 1)


def _current_version(name: str) -> tuple[WorkflowVersion, str]:
    """Return a workflow's current version and its entry node; the definition itself stays in the database."""
    wanted = {"workflow_id": name} if is_workflow_id(name) else {"workflow__key": name}
    row = CURRENT_VERSIONS.filter(**wanted).first()
    if row is None:
        raise UnknownWorkflow(name)
    entry_node_id, *values = row
    version = WorkflowVersion.from_db("default", VERSION_FIELDS, values[: len(VERSION_FIELDS)])
    version.workflow = Workflow.from_db("default", WORKFLOW_FIELDS, values[len(VERSION_FIELDS) :])
    return version, entry_node_id


def _replay(request: TriggerRequest, version: WorkflowVersion) -> Acceptance:
    existing = Trigger.objects.select_related("workflow", "version").get(
        workflow_id=version.workflow_id, idempotency_key=request.idempotency_key
    )
    return Acceptance(existing, is_created=False, payload_differs=_differs(existing, request))


def _differs(existing: Trigger, request: TriggerRequest) -> bool:
    """Say whether the request asks for something else; what it leaves out is not compared with defaults."""
    return (
        existing.recipient != request.recipient
        or existing.context != request.context
        or (request.priority is not None and existing.priority != request.priority)
        or existing.scheduled_at != request.scheduled_at
    )
