"""How often a password may be tried, and how many requests a minute a user may make.

Both count in the cache, which may be lost: without it everybody gets in, rather than nobody.
"""

import ipaddress
import logging
import threading
from math import ceil
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import redis.exceptions
from django.conf import settings
from django.core.cache import cache as shared_cache
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, ScopedRateThrottle

from accounts.client_address import client_address
from accounts.models import User
from accounts.rate_limits import WINDOW_SECONDS, Rate, slice_of

if TYPE_CHECKING:
    # It imports this module, by the settings.
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

CACHE_FAULTS = (OSError, redis.exceptions.RedisError)
MOST_KEPT = 10_000
# A counter outlives its window, so that it never ends between two looks at it.
KEPT_SECONDS = 2 * WINDOW_SECONDS
# How long a process lets everybody in before it looks for a lost cache again: a look may take as long as its timeout.
AWAY_SECONDS = 5
LOG_SECONDS = 60
# In a request's META: the rate, once the request has been counted.
COUNTED = "notifyflow.rate"


class TokenThrottle(ScopedRateThrottle):
    """Counts attempts by address; of an IPv6 address the network counts, since a caller has a whole one."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Say whether the caller may try now."""
        try:
            return super().allow_request(request, view)
        except CACHE_FAULTS as error:
            logger.warning("The cache did not count a log-in: %s", error)
            return True

    def get_ident(self, request: Request) -> str:
        """Return whom to count."""
        try:
            address = ipaddress.ip_address(client_address(request._request))  # noqa: SLF001  # what it wraps
        except ValueError:
            return "unknown"
        if address.version == 4:  # noqa: PLR2004  # as in IPv4
            return str(address)
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))


class _Held:
    """What a process has of one user's allowance in one window."""

    __slots__ = ("is_spent", "left", "limit", "unclaimed", "window")

    def __init__(self, window: int, limit: int) -> None:
        self.window = window
        self.limit = limit
        self.left = 0
        self.unclaimed = limit
        self.is_spent = limit == 0


class Allowances:
    """Counts users' requests in fixed windows of a minute, shared between processes through the cache.

    A process draws a slice of the allowance from the counter in the cache and uses it up in memory, so that most
    requests cost no look at the cache. Limits below 200 a minute are exact; of larger ones, what a process has drawn
    and not used is lost to the others, at most a hundredth of the limit for each process. Nobody ever gets more than
    the limit, except while the cache is away.
    """

    def __init__(self, cache: Any = shared_cache) -> None:
        self._cache = cache
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._away_until = self._silent_until = float("-inf")

    def take(self, name: str, limit: int) -> Rate | None:
        """Count a request of `name`, which may make `limit` a minute; None when it can't be counted."""
        with self._lock:
            held, reset = self._now(name, limit)
            if held.left > 0:
                held.left -= 1
                return Rate(limit, held.unclaimed + held.left, reset)
            if held.is_spent:
                return Rate(limit, 0, reset, is_exceeded=True)
        # Not under the lock, or one slow look would hold up everybody. Threads that come here together draw one each.
        return self._draw(name, held, reset)

    def spend(self, name: str, limit: int, number: int) -> Rate | None:
        """Count `number` more requests of somebody who was let in; what goes beyond the limit is forgiven.

        None when they can't be counted.
        """
        with self._lock:
            held, reset = self._now(name, limit)
            from_hand = min(held.left, number)
            held.left -= from_hand
            rest = number - from_hand
        if rest > 0:
            if monotonic() < self._away_until:
                return None
            try:
                drawn = self._count(f"rate:{name}:{held.window}", rest, is_first=held.unclaimed == limit)
            except CACHE_FAULTS as error:
                self._miss(error)
                return None
            with self._lock:
                held.unclaimed = min(held.unclaimed, max(0, limit - drawn))
                held.is_spent = held.is_spent or drawn >= limit
        return Rate(limit, held.unclaimed + held.left, reset)

    def _now(self, name: str, limit: int) -> tuple[_Held, int]:
        """Return, under the lock, what is held in the window of this moment, and the seconds until that ends."""
        now = time()
        window = int(now // WINDOW_SECONDS)
        held = self._held.get(name)
        if held is None or held.window != window or held.limit != limit:
            held = self._begin(name, window, limit)
        return held, ceil((window + 1) * WINDOW_SECONDS - now)

    def _begin(self, name: str, window: int, limit: int) -> _Held:
        if len(self._held) >= MOST_KEPT:
            self._held.clear()
        held = self._held[name] = _Held(window, limit)
        return held

    def _draw(self, name: str, held: _Held, reset: int) -> Rate | None:
        """Draw a slice from the counter and take one of it; None when the cache is away."""
        if monotonic() < self._away_until:
            return None
        wanted = slice_of(held.limit)
        try:
            drawn = self._count(f"rate:{name}:{held.window}", wanted, is_first=held.unclaimed == held.limit)
        except CACHE_FAULTS as error:
            self._miss(error)
            return None
        got = min(wanted, held.limit - (drawn - wanted))
        with self._lock:
            held.unclaimed = min(held.unclaimed, max(0, held.limit - drawn))
            held.is_spent = held.is_spent or drawn >= held.limit
            if got < 1:
                return Rate(held.limit, 0, reset, is_exceeded=True)
            held.left += got - 1
            return Rate(held.limit, held.unclaimed + held.left, reset)

    def _count(self, key: str, number: int, *, is_first: bool) -> int:
        """Add to a counter and return what it is then."""
        if is_first and self._cache.add(key, number, KEPT_SECONDS):
            return number
        try:
            return int(self._cache.incr(key, number))
        except ValueError:
            # Emptied, or pushed out by others.
            self._cache.add(key, number, KEPT_SECONDS)
            return number

    def _miss(self, error: Exception) -> None:
        now = monotonic()
        self._away_until = now + AWAY_SECONDS
        if now >= self._silent_until:
            self._silent_until = now + LOG_SECONDS
            logger.warning("The cache does not count requests, so that nobody is limited now: %s", error)


class UserThrottle(BaseThrottle):
    """Counts a user's requests against the user's own limit or the role's; strangers have none to count.

    What came of it stands in the plain request's META, which is the server's environment: a request counts once,
    whoever looks at it, and the headers of its answer tell.
    """

    allowances = Allowances()
    _rate: Rate | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Say whether the user may go on."""
        plain = request._request  # noqa: SLF001  # the answer's middleware sees only that one
        rate = self._rate = self.count(plain, request.user)
        return rate is None or not rate.is_exceeded

    def wait(self) -> float | None:
        """Return the seconds until the user may go on."""
        return self._rate.reset_seconds if self._rate else None

    @classmethod
    def count(cls, request: HttpRequest, user: Any) -> Rate | None:
        """Count a request, once, and return what came of it; None for strangers and without a cache."""
        if COUNTED not in request.META:
            is_known = isinstance(user, User)
            request.META[COUNTED] = cls.allowances.take(str(user.pk), _limit_of(user)) if is_known else None
        rate: Rate | None = request.META[COUNTED]
        return rate

    @classmethod
    def charge(cls, request: Request, number: int) -> None:
        """Count a request that was let in as `number` more: it asks for what so many would have asked for."""
        user = request.user
        if number > 0 and isinstance(user, User):
            plain = request._request  # noqa: SLF001  # as above
            plain.META[COUNTED] = cls.allowances.spend(str(user.pk), _limit_of(user), number)


def _limit_of(user: User) -> int:
    return settings.RATE_LIMITS[user.role] if user.rate_limit is None else user.rate_limit
