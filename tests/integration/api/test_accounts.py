"""Sessions and users over HTTP, as API.md has them."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.roles import MATRIX, Role
from tests.factories import PASSWORD, UserFactory
from tests.integration.api.answers import call, details_of, errors_of, signed_in, stranger

pytestmark = pytest.mark.django_db

SHOWN = {"id", "username", "email", "role", "is_active", "is_service", "rate_limit", "date_joined", "last_login"}
BEA = {"username": "bea", "email": "bea@example.org", "role": "triggerOperator", "password": PASSWORD}


def sign_in(username: str, password: str = PASSWORD) -> Any:
    return call(stranger(), "POST", "auth/token/", {"username": username, "password": password})


def refresh(token: str) -> Any:
    return call(stranger(), "POST", "auth/token/refresh/", {"refresh": token})


def claims(token: str) -> Any:
    """Return what a token says, without a look at its signature."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


@pytest.mark.parametrize("role", list(Role))
def test_a_token_says_who_one_is_and_what_one_may(role: Role) -> None:
    user = UserFactory(username="ann", role=role)

    answer = sign_in("ann")

    assert (answer.status_code, set(answer.json())) == (200, {"access", "refresh"})
    said = claims(answer.json()["access"])
    assert (said["user_id"], said["role"], said["permissions"]) == (str(user.pk), role, sorted(MATRIX[role]))
    assert said["exp"] - said["iat"] == 15 * 60
    bearer = {"Authorization": f"Bearer {answer.json()['access']}"}
    assert call(stranger(), "GET", "me/", headers=bearer).json() == {
        "id": str(user.pk),
        "username": "ann",
        "email": "ann@example.org",
        "role": role,
        "is_active": True,
        "is_service": False,
        "permissions": sorted(MATRIX[role]),
    }


def test_who_can_not_sign_in_is_not_told_why() -> None:
    UserFactory(username="ann")
    UserFactory(username="gone", is_active=False)

    answers = [
        sign_in("ann", "wrong"),
        sign_in("nobody"),
        sign_in("gone"),
        sign_in("ANN"),
        sign_in("ann", PASSWORD + " "),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert errors_of(answers[0]) == [(None, "no_active_account")]


def test_a_refresh_token_works_once() -> None:
    UserFactory(username="ann")
    first = sign_in("ann").json()["refresh"]

    second = refresh(first)

    assert (second.status_code, set(second.json())) == (200, {"access", "refresh"})
    again = refresh(first)
    assert (again.status_code, errors_of(again)) == (401, [(None, "token_not_valid")])


def test_a_refreshed_token_says_what_the_role_grants_now() -> None:
    user = UserFactory(username="ann", role=Role.SYSTEM_ADMIN)
    token = sign_in("ann").json()["refresh"]
    User.objects.filter(pk=user.pk).update(role=Role.WORKER_SERVICE)

    said = claims(refresh(token).json()["access"])

    assert (said["role"], said["permissions"]) == ("workerService", ["triggers.process"])


def test_a_token_ends_with_its_user() -> None:
    ann, bea = UserFactory(username="ann"), UserFactory(username="bea")
    tokens = [sign_in(name).json()["refresh"] for name in ("ann", "bea")]
    User.objects.filter(pk=ann.pk).update(is_active=False)
    bea.delete()

    answers = [refresh(token) for token in tokens]

    assert [(answer.status_code, errors_of(answer)) for answer in answers] == [(401, [(None, "token_not_valid")])] * 2


def test_a_revoked_token_is_refused() -> None:
    UserFactory(username="ann")
    token = sign_in("ann").json()["refresh"]

    revoked = call(stranger(), "POST", "auth/token/revoke/", {"refresh": token})

    assert (revoked.status_code, revoked.content) == (204, b"")
    again = call(stranger(), "POST", "auth/token/revoke/", {"refresh": token})
    assert [answer.status_code for answer in (refresh(token), again)] == [401, 401]


def test_an_access_token_is_no_refresh_token_and_the_other_way_round() -> None:
    UserFactory(username="ann")
    pair = sign_in("ann").json()

    assert details_of(refresh(pair["access"])) == ["Token has wrong type."]
    answer = call(stranger(), "GET", "me/", headers={"Authorization": f"Bearer {pair['refresh']}"})
    assert (answer.status_code, details_of(answer)) == (401, ["Token has wrong type."])


@pytest.mark.django_db(transaction=True)
def test_one_of_many_twins_gets_a_refresh_token_s_successor() -> None:
    UserFactory(username="ann")
    token = sign_in("ann").json()["refresh"]

    def ask(_: int) -> int:
        try:
            return int(refresh(token).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(ask, range(8))) == [200] + [401] * 7


def test_passwords_can_not_be_tried_for_long() -> None:
    UserFactory(username="ann")

    # One name would be locked out before; the throttle counts whatever comes from one address.
    answers = [sign_in(f"guess-{number}") for number in range(31)]

    assert {answer.status_code for answer in answers[:30]} == {401}
    assert (answers[30].status_code, errors_of(answers[30])) == (429, [(None, "throttled")])
    assert 0 < int(answers[30].headers["Retry-After"]) <= 60
    assert sign_in("ann").status_code == 429


def test_without_a_cache_one_can_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    UserFactory(username="ann")

    def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("the cache is away")

    monkeypatch.setattr(cache, "get", away)

    assert sign_in("ann").status_code == 200


def test_users_are_made_read_and_listed(admin: Client) -> None:
    made = call(admin, "POST", "users/", BEA)

    assert made.status_code == 201
    shown = made.json()
    assert set(shown) == SHOWN
    assert (shown["username"], shown["role"], shown["is_active"]) == ("bea", "triggerOperator", True)
    assert call(admin, "GET", f"users/{shown['id']}/").json() == shown
    assert call(admin, "GET", "users/").json()["results"][0] == shown
    assert sign_in("bea").status_code == 200


def test_a_user_is_changed_and_deactivated(admin: Client) -> None:
    bea = UserFactory(username="bea", role=Role.TRIGGER_OPERATOR)
    client = signed_in(bea)
    url = f"users/{bea.pk}/"

    changed = call(
        admin, "PATCH", url, {"email": "new@example.org", "role": "workflowManager", "password": "a new one!!"}
    )
    assert (changed.status_code, changed.json()["email"], changed.json()["role"]) == (
        200,
        "new@example.org",
        "workflowManager",
    )
    assert [sign_in("bea").status_code, sign_in("bea", "a new one!!").status_code] == [401, 200]

    assert call(admin, "PATCH", url, {"is_active": False}).json()["is_active"] is False
    assert [sign_in("bea", "a new one!!").status_code, call(client, "GET", "me/").status_code] == [401, 401]
    assert call(admin, "DELETE", url).status_code == 405
    assert call(admin, "PATCH", url, {"is_active": True}).status_code == 200
    assert [sign_in("bea", "a new one!!").status_code, call(client, "GET", "me/").status_code] == [200, 401]


def test_a_user_that_was_read_can_be_sent_back(admin: Client) -> None:
    bea = UserFactory(username="bea", role=Role.TRIGGER_OPERATOR)
    shown = call(admin, "GET", f"users/{bea.pk}/").json()

    answer = call(admin, "PATCH", f"users/{bea.pk}/", shown)

    assert (answer.status_code, answer.json()) == (200, shown)


def test_no_answer_holds_a_password(admin: Client) -> None:
    made = call(admin, "POST", "users/", BEA)
    url = f"users/{made.json()['id']}/"
    answers = [
        made,
        call(admin, "GET", url),
        call(admin, "GET", "users/"),
        call(admin, "PATCH", url, {"password": PASSWORD}),
    ]
    answers += [call(admin, "OPTIONS", "users/"), sign_in("bea"), call(admin, "POST", "users/", BEA)]

    stored = User.objects.get(username="bea").password
    for answer in answers:
        assert PASSWORD not in answer.content.decode()
        assert stored not in answer.content.decode()
    assert stored.startswith("md5$")


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        ("1234567", ["password_too_short", "password_too_common", "password_entirely_numeric"]),
        ("password1", ["password_too_common"]),
        ("bea@example.org", ["password_too_similar"]),
        ("x" * 129, ["max_length"]),
        ("", ["blank"]),
    ],
)
def test_bad_passwords_are_refused(admin: Client, password: str, codes: list[str]) -> None:
    made = call(admin, "POST", "users/", {**BEA, "password": password})
    bea = UserFactory(username="bea", email="bea@example.org")
    changed = call(admin, "PATCH", f"users/{bea.pk}/", {"password": password})

    for answer in (made, changed):
        assert (answer.status_code, errors_of(answer)) == (400, [("password", code) for code in codes])


def test_a_password_counts_with_the_spaces_around_it(admin: Client) -> None:
    assert call(admin, "POST", "users/", {**BEA, "password": f" {PASSWORD} "}).status_code == 201

    assert [sign_in("bea", f" {PASSWORD} ").status_code, sign_in("bea").status_code] == [200, 401]


@pytest.mark.parametrize("username", ["ann", "\uff41nn", " ann "])
def test_a_name_is_taken_once_in_whatever_letters(admin: Client, username: str) -> None:
    UserFactory(username="ann")
    bea = UserFactory(username="bea")

    made = call(admin, "POST", "users/", {**BEA, "username": username})
    changed = call(admin, "PATCH", f"users/{bea.pk}/", {"username": username})

    for answer in (made, changed):
        assert (answer.status_code, errors_of(answer)) == (400, [("username", "unique")])


@pytest.mark.django_db(transaction=True)
def test_one_of_many_twins_gets_a_name() -> None:
    admin = UserFactory()
    clients = [signed_in(admin) for _ in range(6)]
    others = [str(UserFactory().pk) for _ in range(3)]

    def ask(number: int) -> int:
        try:
            if number < 3:
                return int(call(clients[number], "POST", "users/", BEA).status_code)
            path = f"users/{others[number - 3]}/"
            return int(call(clients[number], "PATCH", path, {"username": "bea"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(ask, range(6)))

    assert statuses[0] in (200, 201)
    assert statuses[1:] == [400] * 5
    assert User.objects.filter(username="bea").count() == 1


@pytest.mark.parametrize("name", ["is_superuser", "is_staff", "groups", "user_permissions", "permissions", "_password"])
def test_no_field_gives_more_than_the_role(admin: Client, name: str) -> None:
    bea = UserFactory(username="bea", role=Role.WORKER_SERVICE)

    made = call(admin, "POST", "users/", {**BEA, "username": "cem", name: True})
    changed = call(admin, "PATCH", f"users/{bea.pk}/", {name: True})

    for answer in (made, changed):
        assert (answer.status_code, errors_of(answer)) == (400, [(name, "unknown_field")])
    bea.refresh_from_db()
    assert (bea.is_superuser, bea.is_staff, User.objects.filter(username="cem").count()) == (False, False, 0)


def test_what_only_the_server_says_is_not_taken(admin: Client) -> None:
    chosen = "01900000-0000-7000-8000-000000000000"

    made = call(admin, "POST", "users/", {**BEA, "id": chosen, "date_joined": "2000-01-01T00:00:00Z"}).json()

    assert made["id"] != chosen
    assert made["date_joined"] > "2020"


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "workflowManager"}])
def test_the_last_active_system_admin_stays(change: dict[str, Any]) -> None:
    admin = UserFactory(role=Role.SYSTEM_ADMIN)
    UserFactory(role=Role.SYSTEM_ADMIN, is_active=False)
    client = signed_in(admin)

    refused = call(client, "PATCH", f"users/{admin.pk}/", change)

    assert (refused.status_code, errors_of(refused)) == (409, [(None, "last_system_admin")])
    UserFactory(role=Role.SYSTEM_ADMIN)
    assert call(client, "PATCH", f"users/{admin.pk}/", change).status_code == 200


def test_a_machine_is_not_the_admin_who_stays() -> None:
    """It can't enter the admin, and its keys can run out."""
    admin = UserFactory(role=Role.SYSTEM_ADMIN)
    UserFactory(role=Role.SYSTEM_ADMIN, is_service=True)

    refused = call(signed_in(admin), "PATCH", f"users/{admin.pk}/", {"is_active": False})

    assert (refused.status_code, errors_of(refused)) == (409, [(None, "last_system_admin")])


def test_users_are_found_by_name_role_and_state(admin: Client) -> None:
    UserFactory(username="bea", role=Role.WORKER_SERVICE, is_active=False)
    UserFactory(username="robot", role=Role.WORKER_SERVICE, is_service=True)

    def names(query: str) -> list[str]:
        return [user["username"] for user in call(admin, "GET", f"users/?{query}").json()["results"]]

    assert names("username=bea") == ["bea"]
    assert names("role=workerService") == ["robot", "bea"]
    assert names("is_active=false") == ["bea"]
    assert names("is_service=true") == ["robot"]
    refused = [errors_of(call(admin, "GET", f"users/?{query}")) for query in ("role=boss", "is_active=yes", "name=x")]
    codes = ["invalid_choice", "invalid_choice", "unknown_parameter"]
    assert [code for errors in refused for _, code in errors] == codes


@pytest.mark.parametrize("rate", [0, -1, 10_000_001, "many", True])
def test_a_rate_that_lets_nobody_in_is_refused(admin: Client, rate: Any) -> None:
    bea = UserFactory(username="bea")

    assert call(admin, "PATCH", f"users/{bea.pk}/", {"rate_limit": rate}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_two_admins_can_not_demote_each_other_at_once() -> None:
    admins = [UserFactory(role=Role.SYSTEM_ADMIN) for _ in range(2)]
    clients = [signed_in(user) for user in admins]

    def demote(number: int) -> int:
        try:
            path = f"users/{admins[1 - number].pk}/"
            return int(call(clients[number], "PATCH", path, {"role": "workerService"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(demote, range(2)))

    # Whoever is second is refused, either as the last one or with a token from before the demotion.
    assert (statuses[0], statuses[1] in (401, 409)) == (200, True)
    assert User.objects.filter(role=Role.SYSTEM_ADMIN, is_active=True).count() == 1


def test_createsuperuser_makes_a_system_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    call_command("createsuperuser", username="root", email="root@example.org", interactive=False, verbosity=0)

    assert AuditEntry.objects.get().object_name == "root"
    token = sign_in("root").json()["access"]
    assert claims(token)["role"] == "systemAdmin"
    answer = call(stranger(), "GET", "users/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


def test_changepassword_ends_the_sessions_and_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = UserFactory(username="ann")
    token = sign_in("ann").json()["refresh"]
    monkeypatch.setattr("getpass.getpass", lambda prompt: "a much longer one")

    call_command("changepassword", "ann", stdout=StringIO())

    assert [refresh(token).status_code, sign_in("ann", "a much longer one").status_code] == [401, 200]
    entry = AuditEntry.objects.get(action="user.changed")
    assert (entry.object_id, entry.actor, entry.via) == (ann.pk, "system", "command")
