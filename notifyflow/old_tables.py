"""Databases of a development version: until 1.0 the first migration itself changes, and can't move them along."""

from django.apps import apps
from django.core.management import CommandError
from django.db import connection
from django.db.backends.utils import CursorWrapper


def require_current_tables() -> None:
    """Raise CommandError, which says what to do, when a table or a column of a model is not there."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for model in apps.get_models():
            table = model._meta.db_table
            wanted = {field.column or "" for field in model._meta.concrete_fields}
            missing = wanted - (_columns(cursor, table) if table in tables else set())
            if missing:
                raise CommandError(
                    f"This database was made by an earlier development version: {table} has no {min(missing)}. "
                    "Before 1.0 nothing moves it along: start with an empty one, such as another NOTIFYFLOW_VAR."
                )


def _columns(cursor: CursorWrapper, table: str) -> set[str]:
    """Return the names of a table's columns; Django's own look can't read every table that it made on SQLite."""
    cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} WHERE 1 = 0")  # noqa: S608  # a model's table
    return {column[0] for column in cursor.description}
