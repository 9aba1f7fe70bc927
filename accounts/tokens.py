"""Access and refresh tokens: what they say. How they are signed is in `accounts.signing`, how they follow each other
in `accounts.sessions`."""

from typing import Any, cast

from rest_framework_simplejwt import tokens

from accounts.models import TokenFamily, User
from accounts.signing import KeyRing, key_ring


class AccessToken(tokens.AccessToken):
    """Says for 15 minutes who somebody is and what they may do."""

    @property
    def token_backend(self) -> KeyRing:
        """What signs and verifies."""
        return key_ring()

    @classmethod
    def of(cls, user: User) -> "AccessToken":
        """Return a token that says what the user's role grants now; `stamp` outdates it when that changes."""
        token = cls()
        token["user_id"] = str(user.pk)
        token["role"] = user.role
        token["permissions"] = sorted(user.capabilities)
        token["stamp"] = user.stamp
        return token


class RefreshToken(tokens.RefreshToken):
    """Gets one new pair of tokens, once."""

    @property
    def token_backend(self) -> KeyRing:
        """What signs and verifies."""
        return key_ring()

    @classmethod
    def read(cls, raw: str) -> "RefreshToken":
        """Return what a client sent as a token. Raises TokenError unless it is one of ours that has not expired."""
        # simplejwt's annotation asks for the object that its constructor makes out of the text.
        return cls(cast("Any", raw))

    @classmethod
    def of(cls, user: User, family: TokenFamily, *, token_id: str) -> "RefreshToken":
        """Return the family's token with this id."""
        token = cls()
        claims: dict[str, Any] = {
            "jti": token_id, "user_id": str(user.pk), "family": str(family.pk), "stamp": user.password_stamp
        }  # fmt: skip
        token.payload.update(claims)
        return token
