"""API keys: how a machine says who it is. Only a digest is stored; `accounts.api_keys` makes and checks them."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models.user import User


class ApiKey(models.Model):
    """A long-lived credential of a service account.

    `prefix` is the part of the key that may be shown and searched for; `digest` is the SHA-256 of the whole key, which
    is random enough to need no slow hash. `scopes` null means everything that the user's role grants.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=20)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"
        constraints = [models.CheckConstraint(condition=~Q(digest=""), name="api_key_has_digest")]

    def __str__(self) -> str:
        return f"{self.prefix}..."
