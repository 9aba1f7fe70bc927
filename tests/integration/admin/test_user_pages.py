"""System admins look after users; the last of them stays one."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from tests.factories import PASSWORD, UserFactory
from tests.integration.admin.conftest import told

pytestmark = pytest.mark.django_db


def page(user: User, name: str = "change") -> str:
    return reverse(f"admin:accounts_user_{name}", args=[user.pk])


def body(user: User, **changes: Any) -> dict[str, Any]:
    return {"username": user.username, "email": user.email, "role": user.role, "is_active": "on", **changes}


def test_an_admin_makes_a_user_with_a_role_and_a_password(console: Client) -> None:
    fields = {"username": "olga", "email": "olga@example.org", "role": "triggerOperator"}

    console.post("/admin/accounts/user/add/", {**fields, "password1": PASSWORD, "password2": PASSWORD})

    olga = User.objects.get(username="olga")
    assert (olga.role, olga.is_staff, olga.is_superuser) == (Role.TRIGGER_OPERATOR, True, False)
    assert olga.check_password(PASSWORD)


@pytest.mark.parametrize("rate", ["0", "99999999999"])
def test_a_rate_that_lets_nobody_in_is_told_on_the_form(console: Client, rate: str) -> None:
    ann = UserFactory(username="ann")

    response = console.post(page(ann), body(ann, rate_limit=rate))

    assert set(response.context["adminform"].form.errors) == {"rate_limit"}


def test_a_user_without_a_password_is_not_made(console: Client) -> None:
    response = console.post("/admin/accounts/user/add/", {"username": "olga", "role": "triggerOperator"})

    assert set(response.context["adminform"].form.errors) == {"password1", "password2"}


def test_the_role_decides_who_may_enter(console: Client) -> None:
    user = UserFactory(role=Role.TRIGGER_OPERATOR)

    console.post(page(user), body(user, role="workerService"))

    user.refresh_from_db()
    assert (user.role, user.is_staff) == (Role.WORKER_SERVICE, False)


def test_the_last_system_admin_stays_one(console: Client) -> None:
    last = User.objects.get()

    for changes in ({"role": "workflowManager"}, {"is_active": ""}):
        response = console.post(page(last), body(last, **changes), follow=True)
        assert told(response) == ["This is the last active systemAdmin; make another one first."]

    last.refresh_from_db()
    assert (last.role, last.is_active) == (Role.SYSTEM_ADMIN, True)


def test_another_system_admin_may_be_deactivated(console: Client) -> None:
    other = UserFactory()

    console.post(page(other), body(other, is_active=""))

    other.refresh_from_db()
    assert not other.is_active


def test_a_password_is_changed_and_can_not_be_taken_away(console: Client) -> None:
    user = UserFactory()
    new = "battery horse staple correct"

    response = console.get(f"/admin/accounts/user/{user.pk}/password/")
    console.post(
        f"/admin/accounts/user/{user.pk}/password/",
        {"password1": new, "password2": new, "usable_password": "false"},
    )

    user.refresh_from_db()
    assert list(response.context["form"].fields) == ["password1", "password2"]
    assert user.check_password(new)


def test_nobody_is_deleted(console: Client) -> None:
    user = UserFactory()

    assert console.post(page(user, "delete"), {"post": "yes"}).status_code == 403
