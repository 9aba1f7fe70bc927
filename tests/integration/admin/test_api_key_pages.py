"""Service accounts and API keys in the console: made and shown once, revoked, never changed."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.api_keys import create_key
from accounts.audit import SYSTEM
from accounts.models import ApiKey, AuditEntry, User
from accounts.roles import Capability, Role
from accounts.sessions import begin_session
from tests.factories import PASSWORD, UserFactory
from tests.integration.admin.conftest import said
from tests.integration.api.answers import call, stranger
from tests.integration.api.test_api_keys import bearer

pytestmark = pytest.mark.django_db

LIST = "/admin/accounts/apikey/"
ROBOT = {"username": "robot", "role": "triggerOperator", "is_service": "on"}


@pytest.fixture
def robot(db: None) -> User:
    """Return a service account."""
    return UserFactory(username="robot", role=Role.TRIGGER_OPERATOR, is_service=True)


def shown_key(response: Any) -> str:
    """Return the key that a page shows."""
    assert response.status_code == 200
    return str(response.context["key"])


def test_a_service_account_is_made_with_a_key_that_works(console: Client) -> None:
    response = console.post("/admin/accounts/user/add/", ROBOT)

    key = shown_key(response)
    assert key in said(response)
    user = User.objects.get(username="robot")
    assert (user.is_service, user.is_staff, user.has_usable_password()) == (True, False, False)
    assert call(bearer(key), "GET", "me/").json()["username"] == "robot"
    actions = AuditEntry.objects.order_by("pk").values_list("action", "via")
    assert list(actions) == [("user.created", "admin"), ("api_key.created", "admin")]


def test_a_service_account_takes_no_password_and_a_person_needs_one(console: Client) -> None:
    machine = console.post("/admin/accounts/user/add/", {**ROBOT, "password1": PASSWORD, "password2": PASSWORD})
    person = console.post("/admin/accounts/user/add/", {"username": "ann", "role": "triggerOperator"})

    assert [set(each.context["adminform"].form.errors) for each in (machine, person)] == [
        {"password1", "password2"}
    ] * 2
    assert User.objects.count() == 1


def test_a_service_account_s_page_has_no_password_to_set(console: Client, robot: User) -> None:
    page = console.get(reverse("admin:accounts_user_change", args=[robot.pk]))
    password = reverse("admin:auth_user_password_change", args=[robot.pk])

    assert "password" not in {name for _, part in page.context["adminform"].fieldsets for name in part["fields"]}
    assert password not in said(page)
    answer = console.post(password, {"password1": PASSWORD, "password2": PASSWORD})
    robot.refresh_from_db()
    assert (answer.status_code, robot.has_usable_password()) == (403, robot.has_usable_password())


def test_a_further_key_is_made_with_scopes_and_an_end(console: Client, robot: User) -> None:
    body = {
        "user": str(robot.pk), "name": "nightly", "scopes": ["triggers.create"],
        "expires_at_0": "2036-01-01", "expires_at_1": "00:00:00",
    }  # fmt: skip

    key = shown_key(console.post(f"{LIST}add/", body))

    stored = ApiKey.objects.get()
    assert (stored.name, stored.scopes, stored.expires_at and stored.expires_at.year) == (
        "nightly",
        ["triggers.create"],
        2036,
    )
    assert call(bearer(key), "GET", "me/").json()["permissions"] == ["triggers.create"]
    page = said(console.get(f"{LIST}{stored.pk}/change/"))
    assert stored.prefix in page
    assert key not in page
    assert stored.digest not in page


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": ["workflows.manage"]}, "scopes"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00:00"}, "expires_at"),
        ({"user": "nobody"}, "user"),
    ],
)
def test_a_key_that_can_not_be_is_told_on_the_form(
    console: Client, robot: User, change: dict[str, Any], field: str
) -> None:
    response = console.post(f"{LIST}add/", {"user": str(robot.pk), "name": "x", **change})

    assert set(response.context["adminform"].form.errors) == {field}
    assert not ApiKey.objects.exists()


def test_a_person_is_not_offered_a_key(console: Client) -> None:
    person = UserFactory(username="ann")

    response = console.post(f"{LIST}add/", {"user": str(person.pk), "name": "x"})

    assert set(response.context["adminform"].form.errors) == {"user"}


def test_a_key_is_revoked_after_a_question(console: Client, robot: User) -> None:
    key, text = create_key(robot, by=SYSTEM)
    url = reverse("admin:accounts_apikey_revoke", args=[key.pk])

    assert "Revoke this API key?" in said(console.get(url))
    assert call(bearer(text), "GET", "me/").status_code == 200
    console.post(url)

    assert call(bearer(text), "GET", "me/").status_code == 401
    assert AuditEntry.objects.get(action="api_key.revoked").via == "admin"


def test_a_key_is_neither_changed_nor_deleted(console: Client, robot: User) -> None:
    key, _ = create_key(robot, scopes=[Capability.READ_STEPS], by=SYSTEM)

    answers = [
        console.post(f"{LIST}{key.pk}/change/", {"name": "x", "scopes": []}).status_code,
        console.post(f"{LIST}{key.pk}/delete/", {"post": "yes"}).status_code,
    ]

    key.refresh_from_db()
    assert (answers, key.scopes, key.name) == ([403, 403], ["steps.read"], "")


def test_the_list_shows_and_narrows_by_state(console: Client, robot: User) -> None:
    active, ended = (create_key(robot, by=SYSTEM)[0] for _ in range(2))
    ApiKey.objects.filter(pk=ended.pk).update(revoked_at="2026-01-01T00:00:00Z")

    both, only = said(console.get(LIST)), said(console.get(f"{LIST}?state=active"))

    assert (active.prefix in both, ended.prefix in both) == (True, True)
    assert (active.prefix in only, ended.prefix in only) == (True, False)


def test_nobody_raises_their_own_role(console: Client) -> None:
    own = User.objects.get()
    UserFactory(role=Role.SYSTEM_ADMIN)
    body = {"username": own.username, "email": own.email, "is_active": "on", "role": "workerService"}

    response = console.post(reverse("admin:accounts_user_change", args=[own.pk]), body, follow=True)

    own.refresh_from_db()
    assert own.role == Role.SYSTEM_ADMIN
    assert "Nobody raises their own role" in said(response)


def test_one_s_own_new_password_ends_one_s_sessions_and_is_written_down(signed_in: Callable[..., Client]) -> None:
    client = signed_in(Role.TRIGGER_OPERATOR, username="ann")
    ann = User.objects.get()
    pair = begin_session(ann, by=SYSTEM)
    body = {"old_password": PASSWORD, "new_password1": "a much longer one", "new_password2": "a much longer one"}

    answer = client.post("/admin/password_change/", body)

    ann.refresh_from_db()
    assert (answer.status_code, ann.check_password("a much longer one")) == (302, True)
    assert call(stranger(), "POST", "auth/token/refresh/", {"refresh": pair.refresh}).status_code == 401
    assert AuditEntry.objects.get(action="user.changed").actor_id == ann.pk


def test_what_an_admin_does_to_a_user_is_written_down(console: Client) -> None:
    ann = UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)
    body = {"username": "ann", "email": ann.email, "is_active": "on", "role": "workflowManager"}
    console.post(reverse("admin:accounts_user_change", args=[ann.pk]), body)
    password = {"password1": "a much longer one", "password2": "a much longer one"}
    console.post(reverse("admin:auth_user_password_change", args=[ann.pk]), password)

    entries = AuditEntry.objects.filter(object_id=ann.pk).order_by("pk")
    assert [entry.changes for entry in entries] == [
        {"role": ["triggerOperator", "workflowManager"]},
        {"password": ["set", "set anew"]},
    ]
    assert {(entry.via, entry.actor_id) for entry in entries} == {("admin", User.objects.exclude(pk=ann.pk).get().pk)}
