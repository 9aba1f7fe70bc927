"""The keys that tokens are signed with: one signs, the others are accepted until they are removed.

Each key carries its algorithm, and a token names its key (`kid`, RFC 7515 section 4.1.4). What a token says of the
algorithm is never believed, so that neither `none` nor a public key taken for a shared secret gets anybody in.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken

from accounts.weak_secrets import weakness_of

SHORTEST_SECRET_BYTES = 32
SHORTEST_RSA_BITS = 2048
ISSUER = AUDIENCE = "notifyflow"
REQUIRED_CLAIMS = ["exp", "iat", "jti", "iss", "aud"]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class KeyUnusable(ValueError):
    """A key that can't sign tokens safely; the message says why, and never the key."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key, its name and its one algorithm; `signs_with` is None for a public key, which only verifies."""

    kid: str
    algorithm: str
    signs_with: Any
    verifies_with: Any


def read_key(text: str) -> SigningKey:
    """Return the key written as a secret of at least 32 bytes, as PEM, or as `file:` and the path of either.

    RSA signs as RS256, P-256 as ES256, Ed25519 as EdDSA, a secret as HS256. Raises KeyUnusable.
    """
    if text.startswith("file:"):
        try:
            text = Path(text.removeprefix("file:")).read_text().strip()
        except OSError as error:
            raise KeyUnusable(f"The file of a token key can't be read: {error.strerror}.") from None
    if "-----BEGIN" in text:
        return _read_pem(text.encode())
    weakness = weakness_of(text, shortest=SHORTEST_SECRET_BYTES)
    if weakness:
        raise KeyUnusable(f"A secret that signs tokens {weakness}.")
    secret = text.encode()
    kid = hmac.new(secret, b"notifyflow kid", hashlib.sha256).hexdigest()[:16]
    return SigningKey(kid, "HS256", signs_with=secret, verifies_with=secret)


def _read_pem(pem: bytes) -> SigningKey:
    try:
        if b"PRIVATE KEY" in pem:
            private: Any = serialization.load_pem_private_key(pem, password=None)
            public: Any = private.public_key()
        else:
            private, public = None, serialization.load_pem_public_key(pem)
    except (ValueError, TypeError):
        raise KeyUnusable(
            "A PEM token key can't be read; it must be a private or public key without password."
        ) from None
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return SigningKey(hashlib.sha256(der).hexdigest()[:16], _algorithm(public), private, public)


def _algorithm(public: PublicKey) -> str:
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= SHORTEST_RSA_BITS:
        return "RS256"
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA"
    raise KeyUnusable(f"A token key must be RSA of {SHORTEST_RSA_BITS} bits or more, P-256 or Ed25519.")


class KeyRing(TokenBackend):
    """Signs with the first key and verifies with the one that a token names."""

    def __init__(self, keys: Sequence[SigningKey], *, leeway_seconds: float) -> None:
        """Take the keys. Raises KeyUnusable when the first can't sign."""
        first = keys[0]
        if first.signs_with is None:
            raise KeyUnusable("The key that signs tokens must be a private key or a secret.")
        super().__init__(first.algorithm, audience=AUDIENCE, issuer=ISSUER, leeway=leeway_seconds)
        self._first = first
        self._keys = {key.kid: key for key in reversed(keys)}

    def encode(self, payload: dict[str, Any]) -> str:
        """Return the signed token."""
        claims = {**payload, "iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(claims, self._first.signs_with, self._first.algorithm, headers={"kid": self._first.kid})

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """Return the claims. Raises TokenBackendError, always having verified: nothing here reads unverified tokens."""
        try:
            key = self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise TokenBackendError("Token is signed with a key that is not accepted")
            claims: dict[str, Any] = jwt.decode(
                token,
                key.verifies_with,
                algorithms=[key.algorithm],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=self.get_leeway(),
                options={"require": REQUIRED_CLAIMS},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenBackendExpiredToken("Token is expired") from error
        except jwt.InvalidTokenError as error:
            raise TokenBackendError("Token is invalid") from error
        return claims


def key_ring() -> KeyRing:
    """Return the ring of the settings. Raises KeyUnusable."""
    own = [settings.JWT_SIGNING_KEY] if settings.JWT_SIGNING_KEY else _made_from_secret_keys()
    return _ring((*own, *settings.JWT_OLD_KEYS), settings.JWT_LEEWAY_SECONDS)


def _made_from_secret_keys() -> list[str]:
    """Return the keys of an installation without one of its own; with one, SECRET_KEY lets nobody in."""
    return [_secret_for_tokens(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@lru_cache(maxsize=8)
def _ring(texts: tuple[str, ...], leeway_seconds: float) -> KeyRing:
    return KeyRing([read_key(text) for text in texts], leeway_seconds=leeway_seconds)


@lru_cache(maxsize=8)
def _secret_for_tokens(secret_key: str) -> str:
    """Return a secret for this one use, so that what is signed elsewhere with SECRET_KEY is no token."""
    return hmac.new(secret_key.encode(), b"notifyflow tokens", hashlib.sha256).hexdigest()
