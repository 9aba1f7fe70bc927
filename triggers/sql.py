"""INSERT statements by hand, with the columns from the models: what Django's own can't say in one statement."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Model


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as the one parameter for `jsonb_to_recordset`. Raises TypeError for what is no JSON."""
    return json.dumps(rows, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not JSON")


def parameters_of(row: Model, computed: Mapping[str, str]) -> list[Any]:
    """Return the values of a row's columns, but for those that the statement takes from elsewhere."""
    return [
        field.get_db_prep_save(field.pre_save(row, True), connection)
        for field in row._meta.concrete_fields
        if "%s" in computed.get(field.attname, "%s")
    ]


def insert_into(model: type[Model], computed: Mapping[str, str], other: str = "%s") -> str:
    """Return `INSERT INTO ... SELECT ...` for all columns of a model; `other` makes each that is not computed.

    `{}` stands for the column's name there, and in what is computed.
    """
    quote = connection.ops.quote_name
    names = [field.column or "" for field in model._meta.concrete_fields]
    columns = ", ".join(map(quote, names))
    values = ", ".join(computed.get(name, other).format(quote(name)) for name in names)
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) SELECT {values}"
