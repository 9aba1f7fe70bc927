"""Who guesses passwords or codes is locked out: which guesses count together, and what a locked caller is told.

django-axes counts, in the database, so that a lost cache unlocks nobody. It counts a name from an address, whether
anybody has the name or not: being locked out tells nothing about who exists, and holds up nobody else behind the same
address. The settings (LOCKOUT_FAILURES, LOCKOUT_MINUTES) say how many failures lock for how long.
"""

import math
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.audit import Action, Actor, record
from accounts.client_address import client_address
from accounts.models import User

# No user's name is longer, so that what is cut off distinguishes nobody.
LONGEST_NAME = 200
# Counts together whoever comes from what is no address, such as a word that a proxy wrote.
NO_ADDRESS = "::"


class LockedOut(APIException):
    """429: too many failures; `wait` is in seconds, and becomes Retry-After."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "locked_out"

    def __init__(self, wait: int) -> None:
        self.wait = wait
        super().__init__(f"Too many failed attempts to sign in. Try again in {_minutes(wait)}.")


class Counter(AxesDatabaseHandler):  # type: ignore[misc]  # axes carries no types
    """axes' counting, with one row for a name and an address, however many programs the guesses seem to come from."""

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any) -> None:
        """Count a failure."""
        request.axes_user_agent = request.axes_http_accept = ""
        super().user_login_failed(sender, credentials, request, **kwargs)


# --- what axes asks, by the names in the settings ---


def counted_name(request: Any, credentials: dict[str, Any] | None) -> str:
    """Return the name that a guess counts for, in the form that names are stored in.

    Upper and lower case stay apart, as in the names themselves: whoever owns `Ann` could otherwise wipe out, by signing
    in, the failures counted for `ann`.
    """
    name = str((credentials or {}).get("username") or "")[:LONGEST_NAME]
    storable = name.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return User.normalize_username(storable)[:LONGEST_NAME]


def counted_address(request: Any) -> str:
    """Return the address that a guess counts for; of IPv6 the first 64 bits, since a caller has all of the others."""
    try:
        address = ip_address(client_address(request).partition("%")[0])
    except ValueError:
        return NO_ADDRESS
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False).network_address)


def in_the_log(username: str, address: str, user_agent: str, path: str, request: Any) -> str:
    """Return what the log says of a guess: never the name, for which people type their password by mistake."""
    return f"{address} at {path}"


def locked_out_page(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any]) -> HttpResponse:
    """Return the admin's answer to who is locked out."""
    wait = seconds_left(request, credentials["username"])
    page = TemplateResponse(
        request,
        "admin/accounts/locked_out.html",
        {**admin.site.each_context(request), "title": "Locked out", "minutes": _minutes(wait)},
        status=status.HTTP_429_TOO_MANY_REQUESTS,
        headers={"Retry-After": str(wait), "Cache-Control": "no-store"},
    )
    return page.render()


# --- what sign-ins call ---


def is_locked(request: Request | HttpRequest, username: str) -> bool:
    """Say whether this name is locked out from where the request comes."""
    return bool(AxesProxyHandler.is_locked(request, {"username": username}))


def seconds_left(request: Request | HttpRequest, username: str) -> int:
    """Return how long the lock-out lasts yet, one second at least."""
    counted = AccessAttempt.objects.filter(
        username=counted_name(request, {"username": username}), ip_address=counted_address(request)
    )
    last = counted.aggregate(last=Max("attempt_time"))["last"] or timezone.now()
    return max(1, math.ceil((last + _duration() - timezone.now()).total_seconds()))


def refuse_locked(request: Request | HttpRequest, username: str) -> None:
    """Raise LockedOut when this name is locked out from where the request comes."""
    if is_locked(request, username):
        raise LockedOut(seconds_left(request, username))


def count_failure(request: Request | HttpRequest, username: str) -> None:
    """Count a failure that no password backend saw, such as a wrong code."""
    user_login_failed.send(sender=__name__, credentials={"username": username}, request=request)


def forgive(request: Request | HttpRequest, user: User) -> None:
    """Forget the failures of a user from where the request comes: they have signed in."""
    AxesProxyHandler.user_logged_in(sender=User, request=request, user=user)


# --- what system admins do ---


@transaction.atomic
def unlock(username: str, *, by: Actor) -> bool:
    """Forget the failures counted for a name, from wherever they came; say whether there were any."""
    attempts = AccessAttempt.objects.filter(username=counted_name(None, {"username": username}))
    forgotten, _ = attempts.delete()
    user = User.objects.filter(username=username).first()
    if forgotten and user is not None:
        record(by, Action.USER_UNLOCKED, object_type="user", object_id=user.pk, object_name=user.username)
    return bool(forgotten)


def with_lock(users: QuerySet[User]) -> QuerySet[User]:
    """Add `is_locked_out` to users: whether their name is locked out from anywhere."""
    if not settings.AXES_ENABLED:
        return users.annotate(is_locked_out=Exists(AccessAttempt.objects.none()))
    locked = AccessAttempt.objects.filter(
        username=OuterRef("username"),
        failures_since_start__gte=settings.AXES_FAILURE_LIMIT,
        attempt_time__gte=timezone.now() - _duration(),
    )
    return users.annotate(is_locked_out=Exists(locked))


def _duration() -> timedelta:
    duration: timedelta = settings.AXES_COOLOFF_TIME
    return duration


def _minutes(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
