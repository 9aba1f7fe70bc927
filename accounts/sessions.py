"""Sessions over the API: a sign-in begins a family of refresh tokens, each of which gets the next one, once.

A token that is shown a second time was copied. Nobody can tell whether the thief or the owner came first, so the whole
family ends and the owner signs in again (RFC 9700 section 4.14.2).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import update_last_login
from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings

from accounts.audit import Action, Actor, record
from accounts.models import TokenFamily, User
from accounts.tokens import AccessToken, RefreshToken


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets: both signed."""

    access: str
    refresh: str


@transaction.atomic
def begin_session(user: User, *, by: Actor) -> TokenPair:
    """Begin a family for somebody who has proved who they are, and clear away what has expired of theirs."""
    now = timezone.now()
    TokenFamily.objects.filter(user=user, expires_at__lt=now).delete()
    family = TokenFamily(user=user, current=uuid4().hex, created_at=now, expires_at=_expiry(now))
    family.save()
    update_last_login(User, user)
    record(by, Action.USER_SIGNED_IN, object_type="user", object_id=user.pk, object_name=user.username)
    return _pair(user, family)


def refresh_session(raw: str, *, by: Actor) -> TokenPair:
    """Return the pair that follows a refresh token, which ends with it; it says what the role grants now.

    Raises TokenError for a token that is bad, expired, ended, used before, or whose user is inactive or has another
    password by now. A token that was used before ends its family.
    """
    token = RefreshToken.read(raw)
    user = User.objects.filter(pk=token["user_id"], is_active=True).first()
    if user is None:
        raise TokenError("Token belongs to no active user")
    if token.get("stamp") != user.password_stamp:
        raise TokenError("Token is older than the password")
    family = TokenFamily(pk=token.get("family"), user=user, current=uuid4().hex)
    # One statement decides: of twins that show the same token, the second finds another one current.
    standing = TokenFamily.objects.filter(pk=family.pk, ended_at=None)
    if not standing.filter(current=token["jti"]).update(current=family.current, expires_at=_expiry(timezone.now())):
        if _end(standing, user, Action.SESSION_REUSED, by):
            raise TokenError("Token was used before, which ends the session: sign in again")
        raise TokenError("Token has ended")
    return _pair(user, family)


def end_session(raw: str, *, by: Actor) -> None:
    """End the family of a refresh token. Raises TokenError for a token that is bad, expired or ended."""
    token = RefreshToken.read(raw)
    user = User.objects.filter(pk=token["user_id"]).first()
    standing = TokenFamily.objects.filter(pk=token.get("family"), ended_at=None)
    if user is None or not _end(standing, user, Action.SESSION_ENDED, by):
        raise TokenError("Token has ended")


def end_sessions_of(user: User) -> None:
    """End every family of a user."""
    TokenFamily.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now())


@transaction.atomic
def _end(standing: Any, user: User, action: Action, by: Actor) -> bool:
    has_ended = bool(standing.update(ended_at=timezone.now()))
    if has_ended:
        record(by, action, object_type="user", object_id=user.pk, object_name=user.username)
    return has_ended


def _pair(user: User, family: TokenFamily) -> TokenPair:
    refresh = RefreshToken.of(user, family, token_id=family.current)
    return TokenPair(access=str(AccessToken.of(user)), refresh=str(refresh))


def _expiry(now: datetime) -> datetime:
    lifetime: timedelta = api_settings.REFRESH_TOKEN_LIFETIME
    return now + lifetime
