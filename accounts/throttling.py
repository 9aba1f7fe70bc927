"""How often a password may be tried."""

import logging

import redis.exceptions
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class TokenThrottle(ScopedRateThrottle):
    """Counts in the cache, which may be lost: without it everybody gets in who knows a password, rather than nobody."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Say whether the caller may try now."""
        try:
            return super().allow_request(request, view)
        except (OSError, redis.exceptions.RedisError) as error:
            logger.warning("The cache did not count a log-in: %s", error)
            return True
