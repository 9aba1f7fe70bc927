"""Statements by hand, with columns from the models: what Django can't say in one, or says at many times the cost."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any

from django.db import connection
from django.db.models import Model
from psycopg import RawCursor

from triggers import arrays


def run(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run a statement on PostgreSQL, with `$1` and so on for its parameters, and return its rows.

    Values travel beside the statement, in binary where psycopg can: the server needn't parse them, and JSON comes back
    parsed. The server keeps the plan, unless PREPARED_STATEMENTS is off. It runs in the transaction that is under way,
    or in one of its own. Raises Django's database errors.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, RawCursor(connection.connection) as cursor:
        arrays.register(cursor.adapters)
        began_at = monotonic()
        cursor.execute(sql, parameters, binary=True, prepare=True)
        if connection.queries_logged:
            connection.queries_log.append({"sql": sql, "time": f"{monotonic() - began_at:.3f}"})
        return cursor.fetchall() if cursor.description else []


@lru_cache
def columns_of(model: type[Model], names: tuple[str, ...]) -> str:
    """Return names and types as a record definition has them."""
    quote = connection.ops.quote_name
    types = {field.attname: field.db_type(connection) for field in model._meta.concrete_fields}
    return ", ".join(f"{quote(name)} {types[name]}" for name in names)


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
