"""One cell of the matrix changes, and with it everything that is derived from it."""

import re
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.admin_base import ConsoleAdmin
from accounts.roles import IN_THE_ADMIN, MATRIX, Capability, Role
from notifyflow.management.commands.permissions import page_text
from tests.conftest import access_token
from tests.factories import UserFactory
from tests.integration.api.answers import call, signed_in

PAGE = Path(__file__).parents[2] / "docs/guides/permissions.md"
USERS = reverse("admin:accounts_user_changelist")

Cell = Callable[[Role, Capability, bool], None]


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Return a setter of one cell."""

    def put(role: Role, capability: Capability, granted: bool) -> None:
        others = MATRIX[role] - {capability}
        monkeypatch.setitem(MATRIX, role, others | {capability} if granted else others)

    return put


def seen_by(role: Role) -> dict[str, bool]:
    """Say, of everything that is derived from the matrix, whether it lets a role manage users."""
    user = UserFactory(role=role)
    api, browser = signed_in(user), Client()
    browser.force_login(user)
    claims = jwt.decode(access_token(user), options={"verify_signature": False})
    page = page_text()
    column = list(Role).index(role)
    roles = re.findall(r"^\| `users\.manage`" + r" \| (\w+)" * 4 + " ", page, re.MULTILINE)
    routes = re.findall(r"^\| GET \| `/api/v1/users/` \| \S+" + r" \| (\w+)" * 4 + " ", page, re.MULTILINE)
    pages = re.findall(r"^\| accounts: users" + r" \| ([^|]+)" * 4 + r" \|", page, re.MULTILINE)
    index = browser.get(reverse("admin:index"))
    return {
        "API": call(api, "GET", "users/").status_code == 200,
        "API, writing": call(api, "POST", "users/", {}).status_code == 400,
        "me": "users.manage" in call(api, "GET", "me/").json()["permissions"],
        "token": "users.manage" in claims["permissions"],
        "admin, list": browser.get(USERS).status_code == 200,
        "admin, form": browser.get(reverse("admin:accounts_user_change", args=[user.pk])).status_code == 200,
        "admin, navigation": f'href="{USERS}"' in index.content.decode(),
        "guide, roles": roles[0][column] == "yes",
        "guide, API": routes[0][column] == "yes",
        "guide, admin": pages[0][column] != "no",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("granted", [True, False])
def test_one_cell_changes_all(cell: Cell, role: Role, granted: bool) -> None:
    cell(role, Capability.MANAGE_USERS, not granted)
    before = seen_by(role)
    cell(role, Capability.MANAGE_USERS, granted)

    assert set(before.values()) == {not granted}
    assert set(seen_by(role).values()) == {granted}


@pytest.mark.django_db
def test_who_may_enter_the_admin_follows_the_matrix_at_once(cell: Cell) -> None:
    """Also for somebody who is signed in already."""
    browser = Client()
    browser.force_login(UserFactory(role=Role.WORKFLOW_MANAGER))
    index = reverse("admin:index")
    assert browser.get(index).status_code == 200

    for capability in Capability:
        cell(Role.WORKFLOW_MANAGER, capability, False)
    assert browser.get(index).status_code == 302

    cell(Role.WORKFLOW_MANAGER, Capability.CREATE_TRIGGERS, True)
    assert browser.get(index).status_code == 302
    cell(Role.WORKFLOW_MANAGER, Capability.READ_AUDIT, True)
    assert browser.get(index).status_code == 200


def test_what_opens_the_admin_is_what_its_pages_ask_for() -> None:
    pages = admin.site._registry.values()

    assert [page for page in pages if not isinstance(page, ConsoleAdmin)] == []
    asked = [page.readable_with | page.writable_with for page in pages if isinstance(page, ConsoleAdmin)]
    assert frozenset[Capability]().union(*asked) == IN_THE_ADMIN


def test_the_guide_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page_text()
    call_command("permissions", check=PAGE)


def test_a_guide_that_says_anything_else_is_named(tmp_path: Path, cell: Cell) -> None:
    page = tmp_path / "permissions.md"
    with pytest.raises(CommandError, match=r"permissions\.md is not what the code says; write it with: "):
        call_command("permissions", check=page)
    call_command("permissions", write=page)
    call_command("permissions", check=page)

    cell(Role.WORKER_SERVICE, Capability.READ_STEPS, True)

    with pytest.raises(CommandError):
        call_command("permissions", check=page)


def test_the_guide_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("permissions")

    assert capsys.readouterr().out == page_text()
