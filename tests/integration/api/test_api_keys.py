"""Service accounts: machines with API keys, shown once, narrowed by scopes, ended by expiry and revocation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.api_keys import create_key, grantable_scopes
from accounts.audit import SYSTEM
from accounts.models import ApiKey, AuditEntry, User
from accounts.roles import MATRIX, Capability, Role
from tests.factories import PASSWORD, UserFactory
from tests.integration.api.answers import call, errors_of, stranger

pytestmark = pytest.mark.django_db

ROBOT = {"username": "robot", "role": "triggerOperator", "is_service": True}


def bearer(key: str) -> Client:
    """Return a client that sends a key."""
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {key}"})


def service_key(role: Role, **wishes: Any) -> str:
    """Return the key of a new service account."""
    return create_key(UserFactory(role=role, is_service=True), **wishes, by=SYSTEM)[1]


def test_a_service_account_is_made_with_a_key_that_works(admin: Client) -> None:
    made = call(admin, "POST", "users/", ROBOT)

    assert made.status_code == 201
    shown = made.json()
    key = shown.pop("api_key")
    assert key.startswith("nf_")
    assert len(key) > 50
    assert (shown["username"], shown["is_service"]) == ("robot", True)
    assert call(admin, "GET", f"users/{shown['id']}/").json() == shown
    me = call(bearer(key), "GET", "me/").json()
    assert (me["username"], me["is_service"], me["permissions"]) == (
        "robot",
        True,
        sorted(MATRIX[Role.TRIGGER_OPERATOR]),
    )


def test_the_key_itself_is_nowhere_but_in_that_answer(admin: Client) -> None:
    made = call(admin, "POST", "users/", ROBOT).json()
    secret = made["api_key"].split("_", 2)[2]

    stored = [str(row) for model in (User, ApiKey, AuditEntry) for row in model.objects.values()]
    url = f"users/{made['id']}/"
    said = [call(admin, "GET", each).content.decode() for each in (url, f"{url}keys/", "users/", "audit/")]
    assert [text for text in stored + said if secret in text] == []
    assert ApiKey.objects.get().prefix == made["api_key"][:11]


def test_a_service_account_has_no_password_and_no_way_into_the_admin(admin: Client) -> None:
    made = call(admin, "POST", "users/", ROBOT).json()

    with_password = call(admin, "POST", "users/", {**ROBOT, "username": "r2", "password": PASSWORD})
    later = call(admin, "PATCH", f"users/{made['id']}/", {"password": PASSWORD})
    for answer in (with_password, later):
        assert (answer.status_code, errors_of(answer)) == (400, [("password", "no_password")])
    user = User.objects.get(username="robot")
    assert (user.has_usable_password(), user.is_staff) == (False, False)
    signed_in = call(stranger(), "POST", "auth/token/", {"username": "robot", "password": "!"})
    assert errors_of(signed_in) == [(None, "no_active_account")]


def test_a_person_needs_a_password_and_has_no_keys(admin: Client) -> None:
    person = {"username": "bea", "role": "triggerOperator"}
    bea = UserFactory(username="ann")

    assert errors_of(call(admin, "POST", "users/", person)) == [("password", "required")]
    scoped = call(admin, "POST", "users/", {**person, "password": PASSWORD, "scopes": ["steps.read"]})
    assert errors_of(scoped) == [("scopes", "not_a_service")]
    key = call(admin, "POST", f"users/{bea.pk}/keys/", {})
    assert (key.status_code, errors_of(key)) == (409, [(None, "not_a_service")])


def test_a_person_does_not_become_a_machine_nor_the_other_way_round(admin: Client) -> None:
    bea = UserFactory(username="bea")

    call(admin, "PATCH", f"users/{bea.pk}/", {"is_service": True})

    bea.refresh_from_db()
    assert bea.is_service is False


@pytest.mark.parametrize("capability", sorted(grantable_scopes(Role.SYSTEM_ADMIN)))
def test_scopes_leave_of_the_role_what_they_name(capability: Capability) -> None:
    client = bearer(service_key(Role.SYSTEM_ADMIN, scopes=[capability]))

    assert call(client, "GET", "me/").json()["permissions"] == [capability]
    allowed = {
        Capability.MANAGE_WORKFLOWS: "workflows/", Capability.READ_STEPS: "steps/",
        Capability.MANAGE_TRIGGERS: "triggers/", Capability.READ_AUDIT: "audit/",
    }  # fmt: skip
    statuses = {path: call(client, "GET", path).status_code for path in [*allowed.values(), "users/"]}
    assert statuses == {path: 200 if path == allowed.get(capability) else 403 for path in statuses}


@pytest.mark.parametrize(
    ("role", "scopes", "errors"),
    [
        ("triggerOperator", ["steps.read", "workflows.manage"], [("scopes.1", "scope_not_granted")]),
        ("systemAdmin", ["users.manage"], [("scopes.0", "scope_not_granted")]),
        ("triggerOperator", ["everything"], [("scopes.0", "invalid_choice")]),
        ("triggerOperator", [], [("scopes", "empty")]),
        ("triggerOperator", "steps.read", [("scopes", "not_a_list")]),
    ],
)
def test_scopes_are_never_wider_than_the_role(
    admin: Client, role: str, scopes: Any, errors: list[tuple[str, str]]
) -> None:
    robot = UserFactory(role=role, is_service=True)

    made = call(admin, "POST", "users/", {**ROBOT, "role": role, "scopes": scopes})
    further = call(admin, "POST", f"users/{robot.pk}/keys/", {"scopes": scopes})

    for answer in (made, further):
        assert (answer.status_code, errors_of(answer)) == (400, errors)
    assert not User.objects.filter(username="robot").exists()


def test_a_role_that_shrinks_takes_its_keys_along() -> None:
    key = service_key(Role.SYSTEM_ADMIN, scopes=["workflows.manage", "steps.read"])
    User.objects.update(role=Role.TRIGGER_OPERATOR)

    assert call(bearer(key), "GET", "me/").json()["permissions"] == ["steps.read"]


def test_a_key_is_changed_without_a_pause(admin: Client) -> None:
    made = call(admin, "POST", "users/", ROBOT).json()
    url = f"users/{made['id']}/keys/"

    second = call(admin, "POST", url, {"name": "second", "scopes": ["triggers.create"]})

    assert second.status_code == 201
    listed = call(admin, "GET", url).json()["results"]
    new, old = listed
    assert new == {name: value for name, value in second.json().items() if name != "key"}
    assert (new["name"], new["scopes"], old["scopes"], old["expires_at"]) == ("second", ["triggers.create"], None, None)
    assert call(admin, "DELETE", f"{url}{old['id']}/").status_code == 204
    assert [call(bearer(key), "GET", "me/").status_code for key in (made["api_key"], second.json()["key"])] == [
        401,
        200,
    ]


def test_a_revoked_key_is_refused_and_stays_in_the_list(admin: Client) -> None:
    made = call(admin, "POST", "users/", ROBOT).json()
    url = f"users/{made['id']}/keys/"
    key_id = call(admin, "GET", url).json()["results"][0]["id"]

    assert [call(admin, "DELETE", f"{url}{key_id}/").status_code for _ in range(2)] == [204, 204]

    answer = call(bearer(made["api_key"]), "GET", "me/")
    assert (answer.status_code, errors_of(answer)) == (401, [(None, "api_key_not_valid")])
    assert call(admin, "GET", url).json()["results"][0]["revoked_at"] is not None
    assert AuditEntry.objects.filter(action="api_key.revoked").count() == 1


def test_a_key_of_another_user_is_not_revoked(admin: Client) -> None:
    service_key(Role.TRIGGER_OPERATOR)
    other = UserFactory(is_service=True)

    answer = call(admin, "DELETE", f"users/{other.pk}/keys/{ApiKey.objects.get().pk}/")

    assert (answer.status_code, ApiKey.objects.get().revoked_at) == (404, None)


def test_an_expired_key_is_refused(admin: Client) -> None:
    key = service_key(Role.TRIGGER_OPERATOR, expires_at=timezone.now() + timedelta(hours=1))
    assert call(bearer(key), "GET", "me/").status_code == 200

    ApiKey.objects.update(expires_at=timezone.now())

    assert errors_of(call(bearer(key), "GET", "me/")) == [(None, "api_key_not_valid")]
    past = call(admin, "POST", "users/", {**ROBOT, "expires_at": "2020-01-01T00:00:00Z"})
    assert errors_of(past) == [("expires_at", "in_the_past")]


def test_a_deactivated_service_account_is_refused(admin: Client) -> None:
    made = call(admin, "POST", "users/", ROBOT).json()

    call(admin, "PATCH", f"users/{made['id']}/", {"is_active": False})

    assert errors_of(call(bearer(made["api_key"]), "GET", "me/")) == [(None, "api_key_not_valid")]


@pytest.mark.parametrize("change", [lambda key: key[:-1], lambda key: key + "x", lambda key: "nf_", str.upper])
def test_what_is_nearly_a_key_is_none(change: Any) -> None:
    key = service_key(Role.TRIGGER_OPERATOR)

    assert call(bearer(change(key)), "GET", "me/").status_code == 401


def test_it_is_known_to_the_minute_when_a_key_was_last_used() -> None:
    key = service_key(Role.TRIGGER_OPERATOR)
    assert ApiKey.objects.get().last_used_at is None

    call(bearer(key), "GET", "me/")
    first = ApiKey.objects.get().last_used_at
    call(bearer(key), "GET", "me/")
    assert ApiKey.objects.get().last_used_at == first

    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    ApiKey.objects.update(last_used_at=long_ago)
    call(bearer(key), "GET", "me/")
    assert ApiKey.objects.get().last_used_at != long_ago


def test_a_key_is_no_reason_to_be_let_into_the_admin() -> None:
    answer = bearer(service_key(Role.SYSTEM_ADMIN)).get("/admin/")

    assert answer.status_code == 302
