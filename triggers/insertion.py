"""New triggers and their audit entries, written together: one statement for however many there are.

On PostgreSQL the rows travel as JSON, as steps do (docs/adr/0006-steps-as-one-json-parameter.md); elsewhere each row
has statements of its own, in one transaction.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from accounts.models import AuditEntry
from triggers.models import Trigger
from triggers.sql import as_json, insert_into, parameters_of
from workflows.keys import is_workflow_id
from workflows.models import Workflow, WorkflowVersion

ENTRY_NODE_ID = {
    "postgresql": "v.definition ->> 'entry_node_id'",
    "sqlite": "json_extract(v.definition, '$.entry_node_id')",
}
# What an entry takes from there; everything else of it is known before.
NOTED = {"changes": "jsonb_build_object('workflow', w.key)"}


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A row without what the workflow gives it, whose workflow (an id or a key) that is, and who asked for it."""

    trigger: Trigger
    workflow: str
    entry: AuditEntry


def insert_new(asked: Iterable[NewTrigger]) -> set[UUID]:
    """Insert each row for the current version of its active workflow, unless its idempotency key is taken.

    Returns the ids of those inserted, which then have what their workflow gave them. One statement finds the workflow
    and inserts, so what it found active was active when the row was made. A twin that is being inserted at this moment
    is waited for by the unique index, in an order that all inserters keep: for what is not returned, the row that
    stands can be read. Django has no such INSERT, hence the SQL.
    """
    groups: defaultdict[str, list[NewTrigger]] = defaultdict(list)
    for each in asked:
        groups["id" if is_workflow_id(each.workflow) else "key"].append(each)
    if connection.vendor == "postgresql" and len(groups) == 1:
        ((wanted, news),) = groups.items()
        return _insert_together(wanted, news)
    with transaction.atomic():
        insert = _insert_together if connection.vendor == "postgresql" else _insert_one_by_one
        return {made for wanted, news in groups.items() for made in insert(wanted, news)}


def _insert_together(wanted: str, news: list[NewTrigger]) -> set[UUID]:
    ordered = sorted(news, key=lambda new: (new.workflow, new.trigger.idempotency_key))
    triggers = [{**_values(new.trigger), "workflow": new.workflow, "n": number} for number, new in enumerate(ordered)]
    entries = [_values(new.entry) for new in ordered]
    with connection.cursor() as cursor:
        cursor.execute(_together_sql(wanted), [as_json(triggers), as_json(entries)])
        made = {UUID(str(row[0])): row[1:] for row in cursor.fetchall()}
    for new in news:
        if new.trigger.pk in made:
            _complete(new.trigger, made[new.trigger.pk])
    return set(made)


def _insert_one_by_one(wanted: str, news: list[NewTrigger]) -> set[UUID]:
    made = set()
    for new in news:
        values = [*parameters_of(new.trigger, _from_workflow("%s")), new.workflow]
        if wanted == "id":
            values[-1] = Workflow._meta.pk.get_db_prep_value(new.workflow, connection)
        with connection.cursor() as cursor:
            cursor.execute(_single_sql(wanted), values)
            row = cursor.fetchone()
        if row is not None:
            _complete(new.trigger, row[1:])
            new.entry.changes = {"workflow": new.trigger.workflow.key}
            new.entry.save(force_insert=True)
            made.add(new.trigger.pk)
    return made


def _complete(trigger: Trigger, row: Sequence[Any]) -> None:
    version_id, trigger.priority, trigger.current_node_id = row
    trigger.version = _version(UUID(str(version_id)))
    trigger.workflow = trigger.version.workflow


@lru_cache(maxsize=4096)
def _version(version_id: UUID) -> WorkflowVersion:
    """Return what an answer says of a version and its workflow, and only what never changes."""
    return WorkflowVersion.objects.select_related("workflow").only("number", "workflow__key").get(pk=version_id)


def _values(row: Model) -> dict[str, Any]:
    """Return the row's columns that are not null."""
    return {name: value for name in _names(type(row)) if (value := row.__dict__.get(name)) is not None}


@lru_cache
def _names(model: type[Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


@lru_cache
def _together_sql(wanted: str) -> str:
    """Return the INSERT with the audit entries of what it inserted; a replay inserts nothing and notes nothing."""
    workflows = connection.ops.quote_name(Workflow._meta.db_table)
    rows = _records(Trigger, f"workflow {'uuid' if wanted == 'id' else 'text'}, n integer")
    # The lock is what the foreign key takes anyway, taken before the look: a deletion under way is waited for and seen.
    return (
        f"WITH made AS ({insert_into(Trigger, _from_workflow('r.{}'), 'r.{}')} FROM {rows}"  # noqa: S608  # names of the models
        f" JOIN {workflows} w ON w.{wanted} = r.workflow{_version_join()}"
        " WHERE w.is_active ORDER BY r.n FOR KEY SHARE OF w"
        " ON CONFLICT (workflow_id, idempotency_key) DO NOTHING"
        " RETURNING id, workflow_id, version_id, priority, current_node_id),"
        f" noted AS ({insert_into(AuditEntry, NOTED, 'r.{}')} FROM {_records(AuditEntry)}"
        f" JOIN made ON made.id = r.object_id JOIN {workflows} w ON w.id = made.workflow_id)"
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


def _records(model: type[Model], more: str = "") -> str:
    """Return the SQL that makes rows of a parameter, typed as the table's columns are."""
    quote = connection.ops.quote_name
    typed = [f"{quote(field.attname)} {field.db_type(connection)}" for field in model._meta.concrete_fields]
    return f"jsonb_to_recordset(%s::jsonb) AS r({', '.join([*typed, more] if more else typed)})"


def _from_workflow(value: str) -> dict[str, str]:
    """Return what a new row takes from the workflow's own rows, where `value` makes the rest."""
    return {
        "workflow_id": "w.id",
        "version_id": "v.id",
        "priority": f"COALESCE({value}, w.priority)",
        "current_node_id": ENTRY_NODE_ID[connection.vendor],
    }
