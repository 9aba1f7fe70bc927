"""What can be done with users; API and admin both come through here."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.audit import SYSTEM, Action, Actor, record
from accounts.models import User
from accounts.roles import MATRIX, Role
from accounts.sessions import end_sessions_of


class LastSystemAdmin(Exception):
    """Without this user nobody could manage users any more."""


class OwnRoleRaised(Exception):
    """Nobody gives themselves a capability."""


class UsernameTaken(Exception):
    """Another user has the name; validation sees it first, except when two requests race for it."""


@transaction.atomic
def create_user(*, username: str, password: str | None, by: Actor = SYSTEM, **fields: Any) -> User:
    """Store a user with a hashed password, or a service account without one. Raises UsernameTaken."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(username, password=password, **fields)
    except IntegrityError:
        if User.objects.filter(username=username).exists():
            raise UsernameTaken(username) from None
        raise
    facts = {name: value for name, value in fields.items() if value not in ("", None)}
    record(by, Action.USER_CREATED, object_type="user", object_id=user.pk, object_name=username, changes=facts)
    return user


@transaction.atomic
def change_user(user_id: UUID, changes: dict[str, object], *, password: str | None = None, by: Actor = SYSTEM) -> User:
    """Set the fields named in `changes`, and the password when given; whoever is deactivated is signed out.

    Raises User.DoesNotExist, UsernameTaken, OwnRoleRaised, and LastSystemAdmin when it would leave no active system
    admin.
    """
    admins = {user.pk for user in User.objects.people_who_manage_users().select_for_update().order_by("pk")}
    user = User.objects.select_for_update().get(pk=user_id)
    before = {name: getattr(user, name) for name in changes}
    for name, value in changes.items():
        setattr(user, name, value)
    if admins == {user.pk} and (user.role != Role.SYSTEM_ADMIN or not user.is_active):
        raise LastSystemAdmin(user.username)
    if by.user_id == user.pk and _grants_more(user.role, than=str(before.get("role", user.role))):
        raise OwnRoleRaised(user.username)
    if password is not None:
        user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        if User.objects.filter(username=user.username).exclude(pk=user.pk).exists():
            raise UsernameTaken(user.username) from None
        raise
    _record_change(by, user, before)
    if password is not None:
        note_new_password(user, by=by)
    elif not user.is_active:
        end_sessions_of(user)
    return user


def note_new_password(user: User, *, by: Actor) -> None:
    """End the sessions that began with the old password, and write down that there is a new one."""
    end_sessions_of(user)
    # That there is another one is all that anybody may read of it.
    facts = {"password": ["set", "set anew"]}
    record(by, Action.USER_CHANGED, object_type="user", object_id=user.pk, object_name=user.username, changes=facts)


def _grants_more(role: str, *, than: str) -> bool:
    return not MATRIX[Role(role)] <= MATRIX[Role(than)]


def _record_change(by: Actor, user: User, before: dict[str, Any]) -> None:
    facts: dict[str, Any] = {
        name: [value, getattr(user, name)] for name, value in before.items() if value != getattr(user, name)
    }
    if facts:
        record(by, Action.USER_CHANGED, object_type="user", object_id=user.pk, object_name=user.username, changes=facts)
