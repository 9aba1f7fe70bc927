"""Users: people and machines, each with one role."""

import hashlib
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.roles import MATRIX, Capability, Role, may_enter_admin

HIGHEST_RATE = 10_000_000


class Users(UserManager["User"]):
    """Makes users; a superuser is a system admin."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> "User":
        """Make a system admin who may enter the admin; `manage.py createsuperuser` comes through here."""
        return super().create_superuser(username, email, password, **{"role": Role.SYSTEM_ADMIN, **extra})

    def people_who_manage_users(self) -> models.QuerySet["User"]:
        """Return the active system admins who are people: a machine can't enter the admin, and its keys can run out."""
        return self.filter(role=Role.SYSTEM_ADMIN, is_active=True, is_service=False)


class User(AbstractUser):
    """Somebody with exactly one role; what the role grants is in `accounts.roles`.

    A service account (`is_service`) is a machine: it has API keys and no password, and never enters the admin.
    `rate_limit` is in requests a minute; without one the role's holds (see `accounts.throttling`).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    role = models.CharField(max_length=20, choices=[(role.value, role.value) for role in Role])
    is_service = models.BooleanField("service account", default=False)
    rate_limit = models.PositiveIntegerField(
        "requests a minute",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(HIGHEST_RATE)],
        help_text="Empty: what the settings give to the role.",
    )

    objects: ClassVar[Users] = Users()

    REQUIRED_FIELDS = ["email"]

    # What an API key leaves of the role's capabilities; set on the instance that a request with a key comes with.
    scopes: frozenset[Capability] | None = None

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="user_role_known"),
            models.CheckConstraint(condition=Q(rate_limit=None) | Q(rate_limit__gte=1), name="user_rate_lets_in"),
            models.CheckConstraint(condition=Q(is_service=False) | Q(is_staff=False), name="user_service_not_staff"),
        ]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this user's role grants, narrowed by the scopes of the key it came with; nothing for an inactive one."""
        granted = MATRIX[Role(self.role)] if self.is_active else frozenset()
        return granted if self.scopes is None else granted & self.scopes

    @property
    def stamp(self) -> str:
        """A digest of what a token relies on: password, role, being active. A token with another one is outdated."""
        return _digest(f"{self.password}|{self.role}|{self.is_active}")

    @property
    def password_stamp(self) -> str:
        """A digest of the stored password alone, which refresh tokens rely on: they outlive a change of role."""
        return _digest(self.password)

    def may(self, capabilities: Iterable[Capability]) -> bool:
        """Say whether the user has one of these capabilities."""
        return not self.capabilities.isdisjoint(capabilities)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the user; people whom the matrix gives something to look after may enter the admin."""
        self.is_staff = may_enter_admin(MATRIX[Role(self.role)]) and not self.is_service
        super().save(*args, **kwargs)


def _digest(held: str) -> str:
    """Return a short digest; what is stored of a password is salted, so that nothing can be guessed from it."""
    return hashlib.sha256(held.encode()).hexdigest()[:16]
