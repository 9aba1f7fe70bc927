"""Token families: all refresh tokens that came, one from the other, from one sign-in."""

from django.db import models
from uuid_utils.compat import uuid7

from accounts.models.user import User


class TokenFamily(models.Model):
    """One sign-in; `current` is the id (`jti`) of the one refresh token that may still be used.

    Any other token of the family is a copy that somebody kept: whoever shows it ends the family (RFC 9700, 4.14.2).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="token_families", db_index=False)
    current = models.CharField(max_length=32)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "token families"
        indexes = [models.Index(fields=["user", "expires_at"], name="token_family_of_user")]

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d %H:%M}"
