"""Tokens that must not let anybody in: forged, confused, expired, meant for others, outdated; and changing the key."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.roles import Role
from accounts.signing import KeyUnusable, key_ring, read_key
from accounts.tokens import AccessToken
from tests.factories import UserFactory
from tests.integration.api.answers import call, errors_of

pytestmark = pytest.mark.django_db

PEM = serialization.Encoding.PEM
SECRET = "a secret that signs tokens; 64 bytes, so that HS512 can be tried with it too"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: Any) -> str:
    encoded: bytes = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return encoded.decode()


def public_pem(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


@pytest.fixture
def ann(db: None) -> User:
    """Return a user whose tokens are tried."""
    return UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)


def me(token: str | bytes) -> Any:
    """Ask with a token who one is."""
    text = token if isinstance(token, str) else token.decode()
    return call(Client(raise_request_exception=False, headers={"Authorization": f"Bearer {text}"}), "GET", "me/")


def is_refused(token: str | bytes) -> bool:
    answer = me(token)
    return (answer.status_code, errors_of(answer)) == (401, [(None, "token_not_valid")])


def claims_of(user: User, **changes: Any) -> dict[str, Any]:
    """Return what a good token says, changed; None takes a claim away, a timedelta is counted from now."""
    said = {**AccessToken.of(user).payload, "iss": "notifyflow", "aud": "notifyflow", **changes}
    now = datetime.now(UTC)
    times = {name: now + value for name, value in said.items() if isinstance(value, timedelta)}
    return {name: value for name, value in {**said, **times}.items() if value is not None}


def signed(claims: dict[str, Any], **header: Any) -> str:
    """Return the claims signed with the real key."""
    key = read_key(SECRET)
    return jwt.encode(claims, key.signs_with, key.algorithm, headers={"kid": key.kid, **header})


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.fixture
def secret(settings: Settings) -> None:
    """Sign with a known secret."""
    settings.JWT_SIGNING_KEY = SECRET


@pytest.mark.usefixtures("secret")
def test_what_is_built_here_as_good_is_good(ann: User) -> None:
    assert me(signed(claims_of(ann))).status_code == 200


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256 "])
@pytest.mark.parametrize("has_signature", [False, True])
def test_a_token_does_not_choose_not_to_be_signed(ann: User, algorithm: str, has_signature: bool) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": read_key(SECRET).kid}

    assert is_refused(unsigned(header, claims_of(ann), b"x" * 32 if has_signature else b""))


@pytest.mark.parametrize("text", ["public_pem", "der"])
def test_a_public_key_is_no_shared_secret(ann: User, settings: Settings, text: str) -> None:
    """RS/HS confusion: the verifying key, which is public, used to sign as if it were a secret."""
    settings.JWT_SIGNING_KEY = private_pem(RSA_KEY)
    assert me(str(AccessToken.of(ann))).status_code == 200
    der = RSA_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    material = {"public_pem": public_pem(RSA_KEY).encode(), "der": der}[text]
    header = {"alg": "HS256", "typ": "JWT", "kid": read_key(private_pem(RSA_KEY)).kid}
    body = unsigned(header, claims_of(ann)).rstrip(".")
    signature = hmac.new(material, body.encode(), hashlib.sha256).digest()

    assert is_refused(f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@pytest.mark.usefixtures("secret")
def test_another_algorithm_of_the_same_family_is_refused(ann: User) -> None:
    key = read_key(SECRET)

    assert is_refused(jwt.encode(claims_of(ann), key.signs_with, "HS512", headers={"kid": key.kid}))


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("kid", ["", "another", "../../dev/null", "' OR 1=1 --", None, 17, ["x"], {"a": 1}])
def test_the_key_that_a_token_names_must_be_one_of_ours(ann: User, kid: Any) -> None:
    header = {"alg": "HS256", "typ": "JWT", "kid": kid}
    body = unsigned(header, claims_of(ann)).rstrip(".")
    signature = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).digest()

    assert is_refused(f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


@pytest.mark.usefixtures("secret")
def test_a_key_that_comes_with_the_token_is_not_used(ann: User) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))
    header = {"jwk": jwk, "jku": "http://127.0.0.1/keys.json", "x5u": "http://127.0.0.1/x", "kid": read_key(SECRET).kid}

    assert is_refused(jwt.encode(claims_of(ann), own, "RS256", headers=header))


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize(
    "changes",
    [
        {"exp": timedelta(minutes=-1)},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": timedelta(hours=1)},
        {"iat": timedelta(hours=1)},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"iss": "another"},
        {"iss": None},
        {"jti": None},
        {"token_type": "refresh"},
        {"token_type": None},
        {"stamp": None},
        {"stamp": "0" * 16},
        {"stamp": ["x"]},
    ],
    ids=str,
)
def test_a_well_signed_token_that_says_something_wrong_is_refused(ann: User, changes: dict[str, Any]) -> None:
    assert is_refused(signed(claims_of(ann, **changes)))


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("user_id", [None, "", "nobody", 17, ["x"], {"a": 1}, "01900000-0000-7000-8000-000000000000"])
def test_a_token_of_nobody_is_refused(ann: User, user_id: Any) -> None:
    assert me(signed(claims_of(ann, user_id=user_id))).status_code == 401


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize(
    "changes", [{"role": "systemAdmin"}, {"permissions": ["users.manage"]}, {"user_id": "the admin's"}]
)
def test_a_changed_claim_breaks_the_signature(ann: User, changes: dict[str, Any]) -> None:
    head, _, signature = signed(claims_of(ann)).split(".")
    if "user_id" in changes:
        changes = {"user_id": str(UserFactory(role=Role.SYSTEM_ADMIN).pk)}
    body = unsigned({}, claims_of(ann, **changes)).split(".")[1]

    assert is_refused(f"{head}.{body}.{signature}")


@pytest.mark.usefixtures("secret")
def test_what_a_token_says_it_may_is_not_believed(ann: User) -> None:
    """Even signed with the right key: what the role grants is the server's to say."""
    token = signed(claims_of(ann, role="systemAdmin", permissions=["users.manage"]))
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})

    assert call(client, "GET", "users/").status_code == 403


@pytest.mark.usefixtures("secret")
def test_a_clock_that_is_a_little_off_is_forgiven(ann: User) -> None:
    now = datetime.now(UTC)

    assert me(signed(claims_of(ann, exp=now - timedelta(seconds=20)))).status_code == 200
    assert me(signed(claims_of(ann, iat=now + timedelta(seconds=20)))).status_code == 200


def test_a_token_of_a_deactivated_user_is_refused(ann: User) -> None:
    token = str(AccessToken.of(ann))
    User.objects.filter(pk=ann.pk).update(is_active=False)

    assert me(token).status_code == 401


@pytest.mark.parametrize("role", [Role.SYSTEM_ADMIN, Role.WORKER_SERVICE])
def test_a_token_from_before_another_role_is_refused_be_it_more_or_less(ann: User, role: Role) -> None:
    token = str(AccessToken.of(ann))
    User.objects.filter(pk=ann.pk).update(role=role)

    assert is_refused(token)
    ann.refresh_from_db()
    assert me(str(AccessToken.of(ann))).json()["role"] == role


@pytest.mark.parametrize(
    "key",
    [RSA_KEY, ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["RS256", "ES256", "EdDSA"],
)
def test_tokens_can_be_signed_with_a_private_key(ann: User, settings: Settings, key: Any, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(private_pem(key))
    settings.JWT_SIGNING_KEY = f"file:{tmp_path / 'key.pem'}"

    token = str(AccessToken.of(ann))

    assert me(token).status_code == 200
    # Whoever holds the public key can verify, as this does with no secret at hand.
    algorithm = jwt.get_unverified_header(token)["alg"]
    assert jwt.decode(token, key.public_key(), algorithms=[algorithm], audience="notifyflow")["user_id"] == str(ann.pk)


def test_an_old_key_is_accepted_until_it_is_removed(ann: User, settings: Settings) -> None:
    settings.JWT_SIGNING_KEY = SECRET
    old = str(AccessToken.of(ann))

    settings.JWT_SIGNING_KEY, settings.JWT_OLD_KEYS = private_pem(RSA_KEY), [SECRET]
    new = str(AccessToken.of(ann))
    assert [me(token).status_code for token in (old, new)] == [200, 200]
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]

    settings.JWT_OLD_KEYS = []
    assert [me(token).status_code for token in (old, new)] == [401, 200]


def test_an_old_private_key_is_kept_by_its_public_half(ann: User, settings: Settings) -> None:
    settings.JWT_SIGNING_KEY = private_pem(RSA_KEY)
    old = str(AccessToken.of(ann))

    settings.JWT_SIGNING_KEY, settings.JWT_OLD_KEYS = SECRET, [public_pem(RSA_KEY)]

    assert me(old).status_code == 200


def test_a_changed_secret_key_keeps_its_tokens_as_a_fallback(ann: User, settings: Settings) -> None:
    old_key = settings.SECRET_KEY
    old = str(AccessToken.of(ann))

    settings.SECRET_KEY = "another-" + "y" * 50
    assert me(old).status_code == 401
    settings.SECRET_KEY_FALLBACKS = [old_key]
    assert me(old).status_code == 200


def test_a_placeholder_in_a_file_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret-secret-secret-secret-secret-secret")

    with pytest.raises(KeyUnusable, match="placeholder"):
        read_key(f"file:{tmp_path / 'key'}")


def test_with_a_key_of_its_own_an_installation_s_secret_key_lets_nobody_in(ann: User, settings: Settings) -> None:
    derived = str(AccessToken.of(ann))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]

    settings.JWT_SIGNING_KEY = SECRET

    assert me(derived).status_code == 401


def test_what_is_signed_with_the_secret_key_itself_is_no_token(ann: User, settings: Settings) -> None:
    kid = jwt.get_unverified_header(str(AccessToken.of(ann)))["kid"]

    assert is_refused(jwt.encode(claims_of(ann), settings.SECRET_KEY, "HS256", headers={"kid": kid}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("k9Fq2", "is shorter than 32 bytes"),
        ("change-me-change-me-change-me-change-me", "placeholder"),
        ("abababababababababababababababababab", "different characters"),
        ("file:/nowhere/at/all", "can't be read"),
        ("-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----", "can't be read"),
        (private_pem(ec.generate_private_key(ec.SECP384R1())), "must be RSA"),
        (private_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "must be RSA"),
    ],
    ids=["short", "placeholder", "two letters", "no file", "broken", "P-384", "RSA 1024"],
)
def test_a_key_that_is_not_safe_is_refused_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(KeyUnusable, match=reason) as raised:
        read_key(text)
    assert text not in str(raised.value)


def test_a_public_key_can_not_sign(settings: Settings) -> None:
    settings.JWT_SIGNING_KEY = public_pem(RSA_KEY)

    with pytest.raises(KeyUnusable, match="must be a private key or a secret"):
        key_ring()


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer a b", "Bearer \u00e9", "Basic YTpi", "Token x", "x" * 9000]
)
def test_a_strange_authorization_header_is_401(header: str) -> None:
    client = Client(raise_request_exception=False, headers={"Authorization": header})

    assert call(client, "GET", "me/").status_code == 401


@pytest.mark.parametrize("token", ["a.b.c", "..", "e30.e30.", "\x00.\x00.\x00", "x" * 100_000, "nf_" + "x" * 100_000])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert me(token).status_code == 401
