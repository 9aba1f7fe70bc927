"""Who is calling: the user of an access token or of an API key.

A token is checked by its signature, and by its stamp against the user, who is read at most every USER_CACHE_SECONDS:
within them a user who was deactivated, or who has another role or password by now, is refused everywhere.
"""

from time import monotonic, time
from uuid import UUID

from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import Token

from accounts.api_keys import KEY_START, digest_of, find_key
from accounts.models import ApiKey, User
from accounts.recently import recent_keys, recent_tokens, recent_users


class BearerAuthentication(JWTAuthentication):
    """`Authorization: Bearer` with an access token or, beginning with `nf_`, an API key."""

    def authenticate(self, request: Request) -> tuple[User, Token | ApiKey] | None:  # type: ignore[override]  # a key stands where simplejwt knows tokens alone
        """Return the user and what the request was let in by; None without a bearer's header.

        Raises AuthenticationFailed and InvalidToken.
        """
        header = self.get_header(request)
        raw = None if header is None else self.get_raw_token(header)
        if raw is None:
            return None
        if raw.startswith(KEY_START.encode()):
            key = _valid_key(raw)
            return key.user, key
        token = self._valid_token(raw)
        return self.get_user(token), token

    def _valid_token(self, raw: bytes) -> Token:
        """Return a token with a good signature that has not expired. Raises InvalidToken."""
        text = raw.decode("latin-1")
        token = recent_tokens.get(text)
        if token is None or token["exp"] <= time():
            token = self.get_validated_token(raw)
            recent_tokens.put(text, token, read_at=monotonic())
        return token

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]  # simplejwt leaves the user's type open
        """Return the token's user. Raises AuthenticationFailed, and InvalidToken for one that is outdated."""
        user_id = str(validated_token.get("user_id"))
        user = recent_users.get(user_id)
        if user is None:
            read_at = monotonic()
            user = _active_user(user_id)
            recent_users.put(user_id, user, read_at=read_at)
        if validated_token.get("stamp") != user.stamp:
            raise InvalidToken("Token is older than the user's role or password: refresh it or sign in again")
        return user


def _active_user(user_id: str) -> User:
    """Read the user. Raises AuthenticationFailed."""
    try:
        return User.objects.get(pk=UUID(user_id), is_active=True)
    except (ValueError, User.DoesNotExist):
        raise AuthenticationFailed("The token's user is unknown or inactive.", code="user_inactive") from None


def _valid_key(raw: bytes) -> ApiKey:
    """Return the key with its active user. Raises AuthenticationFailed."""
    now = timezone.now()
    digest = digest_of(raw)
    key = recent_keys.get(digest)
    if key is None:
        read_at = monotonic()
        key = find_key(raw, now=now)
        if key is not None:
            recent_keys.put(digest, key, read_at=read_at)
    if key is None or not key.user.is_active or (key.expires_at is not None and key.expires_at <= now):
        raise AuthenticationFailed("The API key is unknown, revoked or expired.", code="api_key_not_valid")
    return key
