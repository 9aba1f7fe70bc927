"""Users: people and machines, each with one role."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.roles import MATRIX, Capability, Role


class Users(UserManager["User"]):
    """Makes users; a superuser is a system admin."""

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra: Any
    ) -> "User":
        """Make a system admin who may enter the admin; `manage.py createsuperuser` comes through here."""
        return super().create_superuser(username, email, password, **{"role": Role.SYSTEM_ADMIN, **extra})


class User(AbstractUser):
    """Somebody with exactly one role; what the role grants is in `accounts.roles`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    role = models.CharField(max_length=20, choices=[(role.value, role.value) for role in Role])

    objects: ClassVar[Users] = Users()

    REQUIRED_FIELDS = ["email"]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="user_role_known")
        ]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this user's role grants; nothing for an inactive one."""
        return MATRIX[Role(self.role)] if self.is_active else frozenset()

    def may(self, capabilities: Iterable[Capability]) -> bool:
        """Say whether the user has one of these capabilities."""
        return not self.capabilities.isdisjoint(capabilities)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the user; whom the matrix gives something to look after may enter the admin."""
        self.is_staff = Role(self.role) is not Role.WORKER_SERVICE
        super().save(*args, **kwargs)
