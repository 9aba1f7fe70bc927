"""Every row of every table, to see whether something changed."""

from typing import Any

from django.apps import apps

# A session remembers messages and when it ends; the others are what migrations made.
LEFT_OUT = {"Session", "ContentType", "Permission"}


def every_row() -> dict[str, list[Any]]:
    """Return all rows of all tables, by the model's name."""
    models = [model for model in apps.get_models() if model.__name__ not in LEFT_OUT and model._meta.managed]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


def changed(before: dict[str, list[Any]]) -> set[str]:
    """Return the names of the tables that hold something else than before."""
    now = every_row()
    return {name for name in now if now[name] != before.get(name)}
