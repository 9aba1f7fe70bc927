"""What can be done with users."""

from uuid import UUID

from django.db import transaction

from accounts.models import User
from accounts.roles import Role


class LastSystemAdmin(Exception):
    """Without this user nobody could manage users any more."""


@transaction.atomic
def change_user(user_id: UUID, changes: dict[str, object], *, password: str | None = None) -> User:
    """Set the fields named in `changes`, and the password when given.

    Raises User.DoesNotExist, and LastSystemAdmin when it would leave no active system admin.
    """
    admins = {user.pk for user in User.objects.select_for_update().filter(role=Role.SYSTEM_ADMIN, is_active=True)}
    user = User.objects.select_for_update().get(pk=user_id)
    for name, value in changes.items():
        setattr(user, name, value)
    if user.role != Role.SYSTEM_ADMIN or not user.is_active:
        admins.discard(user.pk)
        if not admins:
            raise LastSystemAdmin(user.username)
    if password is not None:
        user.set_password(password)
    user.save()
    return user
