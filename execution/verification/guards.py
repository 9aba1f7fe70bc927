"""Whether the database still has what it holds the invariants with: unique and check constraints, foreign keys."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connection
from django.db.models import Model

from execution.models import DeadLetter, Step
from execution.verification.findings import Finding, Kind
from triggers.models import Trigger

GUARDED: tuple[type[Model], ...] = (Trigger, Step, DeadLetter)


def missing_guards() -> Iterator[Finding]:
    """Give a finding for each constraint that the models have and the database has not."""
    for model in GUARDED:
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, model._meta.db_table)
        for name in _missing(model, found):
            yield Finding(Kind.GUARD_MISSING, f"The table {model._meta.db_table} has no {name}.")


def _missing(model: type[Model], found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for constraint in model._meta.constraints:
        if constraint.name not in found:
            yield f"constraint {constraint.name}"
    referring = {tuple(each["columns"]) for each in found.values() if each["foreign_key"]}
    for field in model._meta.concrete_fields:
        is_guarded = field.remote_field is not None and getattr(field, "db_constraint", False)
        if is_guarded and (field.column,) not in referring:
            yield f"foreign key from {field.column}"
