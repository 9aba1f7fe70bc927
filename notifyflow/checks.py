"""System checks: parts of the full profile that are missing without anything failing."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004  # the class is named so


def check_shared_cache(**kwargs: Any) -> list[CheckMessage]:
    """Warn when each process of the full profile counts in its own memory."""
    backend = settings.CACHES["default"]["BACKEND"]
    if settings.IS_EMBEDDED or not backend.endswith(".LocMemCache"):
        return []
    return [
        Warning(
            "The cache is each process's own memory, so log-in attempts are counted, and bells flagged, per process.",
            hint="Set CACHE_URL to a Redis that all processes share, such as redis://host:6379/0.",
            id="notifyflow.W001",
        )
    ]
