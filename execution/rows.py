"""Many steps written by one statement.

On PostgreSQL what differs from row to row travels as arrays, and what rows have in common as JSON, once for all of them
(docs/adr/0014-rows-as-arrays.md). Elsewhere bulk_create does the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.db import connection

from execution.models import Step
from execution.step_rows import StepRow
from triggers.arrays import Integers, Moments, Texts, Uuids
from triggers.kinds import Kinds
from triggers.sql import columns_of, run

# What makes one kind of new rows; each has an id and a trigger of its own.
KIND_OF_NEW = (
    "workflow_id", "node_id", "node_type", "attempt", "status", "provider", "message_id", "output", "error", "claim_id",
    "started_at", "finished_at",
)  # fmt: skip
KIND_OF_OUTCOME = ("status", "provider", "error")
OUTCOME = (*KIND_OF_OUTCOME, "message_id", "output", "finished_at")


def insert_steps(steps: Sequence[StepRow]) -> None:
    """Insert steps. Raises IntegrityError when an attempt of a node has a row already.

    Rows of the same ids are left alone: a commit whose answer got lost is tried again.
    """
    if not steps:
        return
    if connection.vendor != "postgresql":
        models = [step.model() for step in steps]
        Step.objects.bulk_create(models, update_conflicts=True, unique_fields=["id"], update_fields=["status"])
        return
    kinds: Kinds[dict[str, Any]] = Kinds()
    numbers = [_number_of_new(kinds, step) for step in steps]
    names = ", ".join(map(_quoted, KIND_OF_NEW))
    run(
        f"INSERT INTO {_table()} (id, trigger_id, {names}) SELECT r.id, r.trigger_id, {names}"  # noqa: S608  # names of the model
        " FROM unnest($1, $2, $3) AS r(id, trigger_id, kind)"
        f" JOIN jsonb_to_recordset($4::text::jsonb) AS k(kind integer, {columns_of(Step, KIND_OF_NEW)}) USING (kind)"
        " ON CONFLICT (id) DO NOTHING",
        [
            Uuids([step.id for step in steps]),
            Uuids([step.trigger_id for step in steps]),
            Integers(numbers),
            kinds.encoded(),
        ],
    )


def update_outcomes(steps: Sequence[StepRow]) -> None:
    """Write what became of steps that are stored; nothing else of them changes."""
    if not steps:
        return
    if connection.vendor != "postgresql":
        models = [step.model() for step in steps]
        Step.objects.bulk_create(models, update_conflicts=True, unique_fields=["id"], update_fields=OUTCOME)
        return
    kinds: Kinds[dict[str, Any]] = Kinds()
    numbers = [_number_of_outcome(kinds, step) for step in steps]
    changes = ", ".join(f"{_quoted(name)} = k.{_quoted(name)}" for name in KIND_OF_OUTCOME)
    run(
        f"UPDATE {_table()} AS s SET {changes},"  # noqa: S608  # names of the model
        " message_id = r.message_id, output = r.output::jsonb, finished_at = r.finished_at"
        " FROM unnest($1, $2, $3, $4, $5) AS r(id, message_id, output, finished_at, kind)"
        f" JOIN jsonb_to_recordset($6::text::jsonb) AS k(kind integer, {columns_of(Step, KIND_OF_OUTCOME)})"
        " USING (kind) WHERE s.id = r.id",
        [
            Uuids([step.id for step in steps]),
            Texts([step.message_id for step in steps]),
            Texts([msgspec.json.encode(step.output) for step in steps]),
            Moments([step.finished_at for step in steps]),
            Integers(numbers),
            kinds.encoded(),
        ],
    )


def _number_of_new(kinds: Kinds[dict[str, Any]], step: StepRow) -> int:
    common = {name: getattr(step, name) for name in KIND_OF_NEW}
    plain = {**common, "output": _json(step.output), "error": _json(step.error)}
    return kinds.number(tuple(plain.values()), common)


def _number_of_outcome(kinds: Kinds[dict[str, Any]], step: StepRow) -> int:
    key = (step.status, step.provider, _json(step.error))
    return kinds.number(key, {"status": step.status, "provider": step.provider, "error": step.error})


def _json(value: Mapping[str, Any] | None) -> bytes | None:
    return msgspec.json.encode(value) if value else None


def _table() -> str:
    return _quoted(Step._meta.db_table)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
