"""What can be done with users."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.roles import Role


class LastSystemAdmin(Exception):
    """Without this user nobody could manage users any more."""


class UsernameTaken(Exception):
    """Another user has the name; validation sees it first, except when two requests race for it."""


def create_user(*, username: str, password: str, **fields: Any) -> User:
    """Store a user with a hashed password. Raises UsernameTaken."""
    try:
        with transaction.atomic():
            return User.objects.create_user(username, password=password, **fields)
    except IntegrityError:
        if User.objects.filter(username=username).exists():
            raise UsernameTaken(username) from None
        raise


@transaction.atomic
def change_user(user_id: UUID, changes: dict[str, object], *, password: str | None = None) -> User:
    """Set the fields named in `changes`, and the password when given.

    Raises User.DoesNotExist, UsernameTaken, and LastSystemAdmin when it would leave no active system admin.
    """
    admins = {
        user.pk
        for user in User.objects.select_for_update().filter(role=Role.SYSTEM_ADMIN, is_active=True).order_by("pk")
    }
    user = User.objects.select_for_update().get(pk=user_id)
    for name, value in changes.items():
        setattr(user, name, value)
    if user.role != Role.SYSTEM_ADMIN or not user.is_active:
        admins.discard(user.pk)
        if not admins:
            raise LastSystemAdmin(user.username)
    if password is not None:
        user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        if User.objects.filter(username=user.username).exclude(pk=user.pk).exists():
            raise UsernameTaken(user.username) from None
        raise
    return user
