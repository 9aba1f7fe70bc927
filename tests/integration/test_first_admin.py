"""The first system admin, from the environment."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.audit import Action
from accounts.models import AuditEntry, User
from accounts.roles import Role
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the three variables; return what sets others."""
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "ann")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "ann@example.org")
    return monkeypatch


def first_admin(capsys: pytest.CaptureFixture[str]) -> str:
    call_command("first_admin")
    return capsys.readouterr().out


def test_it_is_made_when_there_is_none(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    said = first_admin(capsys)

    ann = User.objects.get()
    assert (ann.username, ann.email, ann.role, ann.is_staff) == ("ann", "ann@example.org", Role.SYSTEM_ADMIN, True)
    assert ann.check_password(PASSWORD)
    assert said.startswith("Made the systemAdmin ann.")
    assert PASSWORD not in said
    assert AuditEntry.objects.get(action=Action.USER_CREATED).object_id == ann.pk


def test_nothing_is_done_when_there_is_one(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first_admin(capsys)
    environment.setenv("DJANGO_SUPERUSER_USERNAME", "bea")
    environment.setenv("DJANGO_SUPERUSER_PASSWORD", "short")

    said = first_admin(capsys)

    assert said == "There is a systemAdmin already: nothing to do.\n"
    assert User.objects.count() == 1


def test_an_inactive_one_and_other_roles_are_none(environment: Any, capsys: pytest.CaptureFixture[str]) -> None:
    UserFactory(is_active=False)
    UserFactory(role=Role.WORKFLOW_MANAGER, is_superuser=True)

    first_admin(capsys)

    assert User.objects.filter(username="ann").exists()


@pytest.mark.parametrize("missing", ["USERNAME", "PASSWORD"])
def test_nothing_is_done_without_the_variables(
    environment: Any, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    environment.setenv(f"DJANGO_SUPERUSER_{missing}", "")

    assert "no systemAdmin yet" in first_admin(capsys)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PASSWORD", "x9-q2k", "DJANGO_SUPERUSER_PASSWORD is refused. This password is too short"),
        ("PASSWORD", "password1234", "too common"),
        ("PASSWORD", "123456789012345", "entirely numeric"),
        ("USERNAME", "x" * 151, "at most 150 characters"),
        ("USERNAME", "an n", "username: Enter a valid username"),
        ("EMAIL", "nowhere", "email: Enter a valid email address"),
    ],
)
def test_what_can_be_no_user_is_refused_in_a_sentence(environment: Any, name: str, value: str, said: str) -> None:
    environment.setenv(f"DJANGO_SUPERUSER_{name}", value)

    with pytest.raises(CommandError, match=said) as refused:
        call_command("first_admin")

    assert value not in str(refused.value) or name != "PASSWORD"
    assert not User.objects.exists()


def test_a_name_that_somebody_else_has_is_refused(environment: Any) -> None:
    UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)

    with pytest.raises(CommandError, match="A user named ann exists"):
        call_command("first_admin")

    assert User.objects.get().role == Role.TRIGGER_OPERATOR


def test_createsuperuser_makes_a_system_admin_too(environment: Any) -> None:
    call_command("createsuperuser", interactive=False, verbosity=0)

    assert User.objects.get(username="ann").role == Role.SYSTEM_ADMIN
