"""Who is calling: the user of an access token, read from the database at most every few seconds.

A user who is deactivated, or whose role changes, is refused by the process that did it at once and by every other one
within USER_CACHE_SECONDS.
"""

import threading
from time import monotonic
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models.signals import post_delete, post_save
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import Token

from accounts.models import User

MOST_USERS = 10_000


class RecentUsers:
    """Users read lately, by id; safe between threads."""

    def __init__(self) -> None:
        self._users: dict[str, tuple[float, User]] = {}
        self._lock = threading.Lock()

    def get(self, user_id: str) -> User | None:
        """Return the user when it was read within USER_CACHE_SECONDS."""
        read_at, user = self._users.get(user_id, (float("-inf"), None))
        return user if monotonic() - read_at < settings.USER_CACHE_SECONDS else None

    def put(self, user_id: str, user: User) -> None:
        """Keep a user who was read just now."""
        with self._lock:
            if len(self._users) >= MOST_USERS:
                self._users.clear()
            self._users[user_id] = (monotonic(), user)

    def clear(self) -> None:
        """Read everybody anew."""
        with self._lock:
            self._users.clear()

    def forget(self, user_id: UUID) -> None:
        """Read this user anew."""
        with self._lock:
            self._users.pop(str(user_id), None)


recent_users = RecentUsers()


class TokenAuthentication(JWTAuthentication):
    """simplejwt's authentication, with the user remembered for a moment."""

    def get_user(self, validated_token: Token) -> Any:
        """Return the token's user. Raises InvalidToken and AuthenticationFailed as simplejwt does."""
        user_id = str(validated_token.get("user_id", ""))
        user = recent_users.get(user_id)
        if user is None:
            user = cast("User", super().get_user(validated_token))
            recent_users.put(user_id, user)
        return user


def _forget(sender: type[User], instance: User, **_: Any) -> None:
    recent_users.forget(instance.pk)


post_save.connect(_forget, sender=User)
post_delete.connect(_forget, sender=User)
