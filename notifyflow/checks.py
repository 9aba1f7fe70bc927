"""System checks: what is missing or does not fit together without anything failing."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  # the class is named so

from accounts.signing import KeyUnusable, key_ring

ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")


def check_shared_cache(**kwargs: Any) -> list[CheckMessage]:
    """Warn when each process of the full profile counts in its own memory."""
    backend = settings.CACHES["default"]["BACKEND"]
    if settings.IS_EMBEDDED or not backend.endswith(".LocMemCache"):
        return []
    return [
        Warning(
            "The cache is each process's own memory: log-ins and requests are counted, and bells flagged, per process.",
            hint="Set CACHE_URL to a Redis that all processes share, such as redis://host:6379/0.",
            id="notifyflow.W001",
        )
    ]


def check_origins(**kwargs: Any) -> list[CheckMessage]:
    """Refuse what is no origin, or everybody's: any page can give itself the origin `null`."""
    strange = [origin for origin in settings.CORS_ALLOWED_ORIGINS if not ORIGIN.fullmatch(origin)]
    if not strange:
        return []
    return [
        Error(
            f"CORS_ALLOWED_ORIGINS holds what is nobody's own origin: {', '.join(strange)}.",
            hint="Name each origin with scheme and host, and nothing after them, such as https://shop.example.com.",
            id="notifyflow.E001",
        )
    ]


def check_token_keys(**kwargs: Any) -> list[CheckMessage]:
    """Refuse keys that can't sign tokens."""
    try:
        key_ring()
    except KeyUnusable as error:
        hint = "JWT_SIGNING_KEY and JWT_OLD_KEYS: see docs/guides/operations.md."
        return [Error(str(error), hint=hint, id="notifyflow.E002")]
    return []
