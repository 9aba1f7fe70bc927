"""Many steps written by one statement.

On PostgreSQL the rows travel as one JSON parameter, which costs a small part of what bulk_create spends on each value
of each row (measured in docs/adr/0006-steps-as-one-json-parameter.md). Elsewhere bulk_create does the same.
"""

from collections.abc import Sequence

from django.db import connection

from execution.models import Step
from triggers.sql import as_json

COLUMNS = {field.attname: field for field in Step._meta.concrete_fields}
ALL = tuple(COLUMNS)
OUTCOME = ("status", "provider", "message_id", "output", "error", "finished_at")


def insert_steps(steps: Sequence[Step], *, are_perhaps_stored: bool = False) -> None:
    """Insert steps. Raises IntegrityError when an attempt of a node has a row already.

    With `are_perhaps_stored`, rows of the same ids are left alone: a commit whose answer got lost is tried again.
    """
    if connection.vendor != "postgresql":
        Step.objects.bulk_create(steps, ignore_conflicts=are_perhaps_stored)
        return
    names = ", ".join(map(_quoted, ALL))
    twice = " ON CONFLICT (id) DO NOTHING" if are_perhaps_stored else ""
    _execute(f"INSERT INTO {_table()} ({names}) SELECT {names} FROM {_records(ALL)}{twice}", steps, ALL)  # noqa: S608


def update_outcomes(steps: Sequence[Step]) -> None:
    """Write what became of steps that are stored; nothing else of them changes."""
    if connection.vendor != "postgresql":
        Step.objects.bulk_create(steps, update_conflicts=True, unique_fields=["id"], update_fields=OUTCOME)
        return
    columns = ("id", *OUTCOME)
    changes = ", ".join(f"{_quoted(name)} = r.{_quoted(name)}" for name in OUTCOME)
    _execute(f"UPDATE {_table()} AS s SET {changes} FROM {_records(columns)} WHERE s.id = r.id", steps, columns)  # noqa: S608


def _records(names: Sequence[str]) -> str:
    """Return the SQL that makes rows of the parameter, typed as the table's columns are."""
    typed = ", ".join(f"{_quoted(name)} {COLUMNS[name].db_type(connection)}" for name in names)
    return f"jsonb_to_recordset(%s::jsonb) AS r({typed})"


def _execute(sql: str, steps: Sequence[Step], names: Sequence[str]) -> None:
    if not steps:
        return
    rows = [{name: getattr(step, name) for name in names} for step in steps]
    with connection.cursor() as cursor:
        cursor.execute(sql, [as_json(rows)])


def _table() -> str:
    return _quoted(Step._meta.db_table)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
