"""API keys: making, finding and revoking them. A key is `nf_`, eight characters that name it, and a random secret.

What is stored is a digest; a fast one, because 256 random bits can't be guessed as a password can.
"""

import hashlib
import secrets
import string
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.audit import Action, Actor, record
from accounts.models import ApiKey, User
from accounts.roles import MATRIX, Capability, Role

KEY_START = "nf_"
NAME_LENGTH = 8
SECRET_BYTES = 32
# How exactly it is known when a key was last used: a write for each request would cost more than the request.
LAST_USE_EXACT_TO = timedelta(minutes=1)


class NotAService(Exception):
    """Only a service account has keys; a person signs in."""


class ScopesTooWide(Exception):
    """A key can't be given what its role doesn't grant, nor `users.manage`; `scopes` says which these are."""

    def __init__(self, scopes: Iterable[Capability]) -> None:
        self.scopes = sorted(scopes)
        super().__init__(f"A key of this role can't have: {', '.join(self.scopes)}.")


def grantable_scopes(role: Role) -> frozenset[Capability]:
    """Return what a key of this role can be narrowed to.

    Who manages users can make a user who may do anything; a narrow key that could do that would be narrow by name only.
    """
    return MATRIX[role] - {Capability.MANAGE_USERS}


@transaction.atomic
def create_key(
    user: User,
    *,
    name: str = "",
    scopes: Iterable[Capability] | None = None,
    expires_at: datetime | None = None,
    by: Actor,
) -> tuple[ApiKey, str]:
    """Store a key of a service account; return it together with its text, which can't be had a second time.

    `scopes` None means whatever the role grants. Raises NotAService and ScopesTooWide.
    """
    if not user.is_service:
        raise NotAService(user.username)
    wanted = None if scopes is None else frozenset(scopes)
    if wanted is not None and not wanted <= grantable_scopes(Role(user.role)):
        raise ScopesTooWide(wanted - grantable_scopes(Role(user.role)))
    letters = string.ascii_letters + string.digits
    prefix = KEY_START + "".join(secrets.choice(letters) for _ in range(NAME_LENGTH))
    text = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    key = ApiKey.objects.create(
        user=user,
        name=name,
        prefix=prefix,
        digest=digest_of(text.encode()),
        scopes=None if wanted is None else sorted(wanted),
        expires_at=expires_at,
    )
    facts = {"user": user.username, "name": name, "scopes": key.scopes, "expires_at": _shown(expires_at)}
    record(by, Action.API_KEY_CREATED, object_type="api_key", object_id=key.pk, object_name=prefix, changes=facts)
    return key, text


@transaction.atomic
def revoke_key(key_id: UUID, *, by: Actor) -> ApiKey:
    """End a key, also one that has ended already. Raises ApiKey.DoesNotExist."""
    key = ApiKey.objects.select_for_update(of=("self",)).select_related("user").get(pk=key_id)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        facts = {"user": key.user.username, "name": key.name}
        record(
            by, Action.API_KEY_REVOKED, object_type="api_key", object_id=key.pk, object_name=key.prefix, changes=facts
        )
    return key


def find_key(text: bytes, *, now: datetime) -> ApiKey | None:
    """Return the key with its user, whose `scopes` are the key's, or None when it is unknown or revoked."""
    key = ApiKey.objects.select_related("user").filter(digest=digest_of(text), revoked_at=None).first()
    if key is None:
        return None
    if key.scopes is not None:
        # A capability that a later version no longer knows grants nothing.
        key.user.scopes = frozenset(Capability(scope) for scope in key.scopes if scope in set(Capability))
    _note_use(key, now)
    return key


def digest_of(text: bytes) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(text).hexdigest()


def _note_use(key: ApiKey, now: datetime) -> None:
    long_ago = now - LAST_USE_EXACT_TO
    if key.last_used_at is None or key.last_used_at < long_ago:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=long_ago)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
