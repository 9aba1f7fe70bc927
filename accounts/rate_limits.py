"""How many requests a minute each role may make, and how a process takes its part of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.roles import Role

WINDOW_SECONDS = 60
# A process takes this part of a limit at once, so that a large limit costs the shared cache one look in a hundredth
# of it; limits below two hundred are taken one by one, and so are exact.
SLICES = 100

# Generous, because one operator system may trigger thousands a second.
DEFAULT_LIMITS: Mapping[Role, int] = {
    Role.WORKFLOW_MANAGER: 60_000,
    Role.TRIGGER_OPERATOR: 600_000,
    Role.SYSTEM_ADMIN: 600_000,
    Role.WORKER_SERVICE: 600_000,
}


class RateLimitsInvalid(ValueError):
    """What is written as rate limits can't be read; the message says why."""


def limits_from(text: str) -> dict[str, int]:
    """Return requests a minute by role: the defaults, changed by `role=number,role=number`.

    Raises RateLimitsInvalid for an unknown role and for what is no positive number.
    """
    limits = {role.value: limit for role, limit in DEFAULT_LIMITS.items()}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, _, number = (word.strip() for word in part.partition("="))
        if role not in limits:
            raise RateLimitsInvalid(f"{role!r} is no role; the roles are {', '.join(limits)}.")
        if not (number.isascii() and number.isdigit() and int(number) > 0):
            raise RateLimitsInvalid(f"{part!r} must be a role and its requests a minute, such as {role}=600.")
        limits[role] = int(number)
    return limits


@dataclass(frozen=True, slots=True)
class Rate:
    """What a request is told of its user's limit; `remaining` is what all processes have not yet taken, and never < 0.

    `reset_seconds` is how long the window lasts, at least 1.
    """

    limit: int
    remaining: int
    reset_seconds: int
    is_exceeded: bool = False

    def headers(self) -> list[tuple[str, str]]:
        """Return it as the RateLimit header fields (draft-ietf-httpapi-ratelimit-headers)."""
        return [
            ("RateLimit-Limit", str(self.limit)),
            ("RateLimit-Remaining", str(self.remaining)),
            ("RateLimit-Reset", str(self.reset_seconds)),
            ("RateLimit-Policy", f"{self.limit};w={WINDOW_SECONDS}"),
        ]


def slice_of(limit: int) -> int:
    """Return how many requests a process takes at once."""
    return max(1, limit // SLICES)
