"""Who did what: services tell it here, in the transaction of the deed itself, so that neither stands without the other.

A service takes `by: Actor`; views and admin pages get theirs from `actor_of`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request

from accounts.client_address import client_address
from accounts.models import ApiKey, AuditEntry, User


class Via(StrEnum):
    """The way somebody came."""

    API = "api"
    API_KEY = "api_key"
    ADMIN = "admin"
    COMMAND = "command"


class Action(StrEnum):
    """Every deed that the trail knows."""

    WORKFLOW_CREATED = "workflow.created"
    WORKFLOW_CHANGED = "workflow.changed"
    WORKFLOW_ACTIVATED = "workflow.activated"
    WORKFLOW_DEACTIVATED = "workflow.deactivated"
    WORKFLOW_DELETED = "workflow.deleted"
    TRIGGER_CREATED = "trigger.created"
    TRIGGER_CANCELED = "trigger.canceled"
    TRIGGER_REDRIVEN = "trigger.redriven"
    TRIGGER_PROCESSED = "trigger.processed"
    DEAD_LETTER_DISCARDED = "dead_letter.discarded"
    USER_CREATED = "user.created"
    USER_CHANGED = "user.changed"
    USER_SIGNED_IN = "user.signed_in"
    USER_UNLOCKED = "user.unlocked"
    USER_SECOND_FACTOR_ADDED = "user.second_factor_added"
    USER_SECOND_FACTOR_REMOVED = "user.second_factor_removed"
    SESSION_ENDED = "session.ended"
    SESSION_REUSED = "session.reused"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"


# What deeds are done to, as `object_type` has it; a session is its user's.
OBJECT_TYPES = ("workflow", "trigger", "user", "api_key")


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody at the moment of a deed; `user_id` is None for a command on the server itself."""

    user_id: UUID | None
    name: str
    role: str = ""
    via: Via = Via.COMMAND
    key_prefix: str = ""
    request_id: str = ""
    address: str = ""


# Whoever has a shell on the server: commands, the demo's set-up.
SYSTEM = Actor(user_id=None, name="system")


def actor_of(request: Request | HttpRequest) -> Actor:
    """Return who makes a request, of the API or of the admin."""
    if isinstance(request, Request):
        # DRF has no other name for what it wraps.
        return api_actor(request._request, request.user, request.auth)  # noqa: SLF001
    return _actor(request, request.user, Via.ADMIN)


def api_actor(request: HttpRequest, user: Any, auth: Any) -> Actor:
    """Return who makes a request of the API: the user, by what it was let in with."""
    key = auth if isinstance(auth, ApiKey) else None
    return _actor(request, user, Via.API if key is None else Via.API_KEY, key)


def _actor(request: HttpRequest, user: Any, via: Via, key: ApiKey | None = None) -> Actor:
    known = user if isinstance(user, User) else None
    return Actor(
        user_id=known.pk if known else None,
        name=known.username if known else "anonymous",
        role=known.role if known else "",
        via=via,
        key_prefix=key.prefix if key else "",
        request_id=getattr(request, "request_id", ""),
        address=client_address(request),
    )


def entry_of(
    by: Actor,
    action: Action,
    *,
    object_type: str,
    object_id: UUID | None,
    object_name: str = "",
    changes: dict[str, Any] | None = None,
) -> AuditEntry:
    """Return an entry that is not stored yet."""
    return AuditEntry(
        at=timezone.now(),
        actor_id=by.user_id,
        actor=by.name,
        role=by.role,
        via=by.via.value,
        key_prefix=by.key_prefix,
        action=action.value,
        object_type=object_type,
        object_id=object_id,
        object_name=object_name[:255],
        changes=changes or {},
        request_id=by.request_id,
        address=by.address,
    )


def record(by: Actor, action: Action, **about: Any) -> None:
    """Store an entry; `about` is what `entry_of` takes."""
    entry_of(by, action, **about).save(force_insert=True)
