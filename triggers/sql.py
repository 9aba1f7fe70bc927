"""INSERT statements by hand, with the columns from the models: what Django's own can't say in one statement."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import Model


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
