"""What was read lately and may still be gone by, for USER_CACHE_SECONDS: users, tokens, API keys with their users.

It is memory of the process, so that a request costs no look at a cache or a database for it. What is changed is
forgotten at once by the process that changed it, and by every other one within those seconds.
"""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db.models.signals import post_delete, post_save
from rest_framework_simplejwt.tokens import Token

from accounts.models import ApiKey, User

V = TypeVar("V")
MOST_KEPT = 10_000


class Recently(Generic[V]):
    """Values by a text, each with the time it was read; safe between threads."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, V]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> V | None:
        """Return what was read within USER_CACHE_SECONDS."""
        kept = self._kept.get(name)
        if kept is None or monotonic() - kept[0] >= settings.USER_CACHE_SECONDS:
            return None
        return kept[1]

    def put(self, name: str, value: V, *, read_at: float) -> None:
        """Keep what was read at `read_at`, a time of the monotonic clock from before the reading."""
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = (read_at, value)

    def forget(self, is_meant: Callable[[V], bool] = lambda _: True) -> None:
        """Read anew what `is_meant`, or everything."""
        with self._lock:
            self._kept = {name: kept for name, kept in self._kept.items() if not is_meant(kept[1])}


recent_users: Recently[User] = Recently()
recent_keys: Recently[ApiKey] = Recently()
# Tokens whose signature was found good: it stays so, but for a signing key that is taken away, with a restart.
recent_tokens: Recently[Token] = Recently()


def _forget_user(instance: User, **_: Any) -> None:
    recent_users.forget(lambda user: user.pk == instance.pk)
    recent_keys.forget(lambda key: key.user_id == instance.pk)


def _forget_key(instance: ApiKey, **_: Any) -> None:
    recent_keys.forget(lambda key: key.pk == instance.pk)


for signal in (post_save, post_delete):
    signal.connect(_forget_user, sender=User)
    signal.connect(_forget_key, sender=ApiKey)
