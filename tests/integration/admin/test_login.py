"""The admin's door: who is let in by name and password, and what the page says of a lock-out."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib import admin
from django.test import Client
from pytest_django import Settings

from accounts.admin_site import ConsoleSite
from accounts.audit import Action
from accounts.models import AuditEntry, User
from accounts.roles import Role
from tests.factories import PASSWORD, UserFactory
from tests.integration.admin.codes import INDEX, LOGIN, opens, password_step
from tests.integration.admin.conftest import said

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(settings: Settings) -> User:
    """Return an operator; three failures lock."""
    settings.AXES_FAILURE_LIMIT = 3
    user: User = UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)
    return user


def wrong(client: Client, name: str = "ann") -> Any:
    return client.post(LOGIN, {"username": name, "password": "not it"})


def test_every_page_is_of_the_site_that_guards_them() -> None:
    assert isinstance(admin.site, ConsoleSite)
    assert {model_admin.admin_site for model_admin in admin.site._registry.values()} == {admin.site}


def test_name_and_password_open_the_console(ann: User) -> None:
    browser, answer = password_step(ann)

    assert answer["Location"] == INDEX
    assert opens(browser)
    signed_in = AuditEntry.objects.get(action=Action.USER_SIGNED_IN)
    assert (signed_in.actor, signed_in.via, signed_in.object_name) == ("ann", "admin", "ann")


def test_the_login_page_sends_on_who_is_signed_in(ann: User) -> None:
    browser, _ = password_step(ann)

    assert browser.get(LOGIN)["Location"] == INDEX


def test_the_session_gets_another_key(ann: User) -> None:
    browser = Client()
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = str(session.session_key)

    password_step(ann, browser)

    assert browser.cookies["sessionid"].value != session.session_key


@pytest.mark.parametrize("fields", [{"is_active": False}, {"role": Role.WORKER_SERVICE}])
def test_who_may_not_enter_is_told_what_a_wrong_password_is_told(ann: User, fields: dict[str, Any]) -> None:
    other = UserFactory(username="bea", **fields)

    _, answer = password_step(other)

    assert answer.context["form"].non_field_errors() == wrong(Client()).context["form"].non_field_errors()


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_the_page_says_in_its_own_words_that_a_name_is_locked_out(ann: User, name: str) -> None:
    browser = Client()

    answers = [wrong(browser, name) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert "Try again in 15 minutes." in said(answers[3])
    assert 0 < int(answers[3]["Retry-After"]) <= 15 * 60
    assert "no-store" in answers[3]["Cache-Control"]


def test_while_locked_the_right_password_opens_nothing_here_nor_at_the_api(ann: User) -> None:
    for _ in range(3):
        wrong(Client())

    browser, answer = password_step(ann)
    api = Client().post(
        "/api/v1/auth/token/", {"username": "ann", "password": PASSWORD}, content_type="application/json"
    )

    assert (answer.status_code, api.status_code) == (429, 429)
    assert not opens(browser)


def test_others_behind_the_same_address_are_not_held_up(ann: User) -> None:
    for _ in range(3):
        wrong(Client())

    assert opens(password_step(UserFactory())[0])


def test_a_success_forgets_the_failures(ann: User) -> None:
    wrong(Client())

    password_step(ann)

    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("name", ["x" * 10_000, "a\0b", "", "\U0001f600", "a" * 150])
def test_no_name_is_too_odd(ann: User, name: str) -> None:
    assert {wrong(Client(), name).status_code for _ in range(4)} <= {200, 429}


def test_what_is_kept_of_a_failure_holds_no_password(ann: User) -> None:
    Client().post(LOGIN, {"username": "ann", "password": "a-secret-guess"})

    assert "a-secret-guess" not in str(AccessAttempt.objects.values().get())
