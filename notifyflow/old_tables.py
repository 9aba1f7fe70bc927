"""Databases of a development version: until 1.0 the first migration itself changes, and can't move them along."""

from django.apps import apps
from django.core.management import CommandError
from django.db import connection


def require_current_tables() -> None:
    """Raise CommandError, which says what to do, when a table or a column of a model is not there."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for model in apps.get_models():
            table = model._meta.db_table
            there = connection.introspection.get_table_description(cursor, table) if table in tables else []
            wanted = {field.column or "" for field in model._meta.concrete_fields}
            missing = wanted - {column.name for column in there}
            if missing:
                raise CommandError(
                    f"This database was made by an earlier development version: {table} has no {min(missing)}. "
                    "Before 1.0 nothing moves it along: start with an empty one, such as another NOTIFYFLOW_VAR."
                )
