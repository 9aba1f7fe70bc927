"""Sessions: refresh tokens follow one another, and one that comes a second time ends them all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import AuditEntry, TokenFamily, User
from accounts.roles import Role
from tests.factories import PASSWORD, UserFactory
from tests.integration.api.answers import call, details_of, errors_of, stranger

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(db: None) -> User:
    """Return a user who can sign in."""
    return UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)


def sign_in() -> Any:
    return call(stranger(), "POST", "auth/token/", {"username": "ann", "password": PASSWORD}).json()


def refresh(token: str) -> Any:
    return call(stranger(), "POST", "auth/token/refresh/", {"refresh": token})


def revoke(token: str) -> Any:
    return call(stranger(), "POST", "auth/token/revoke/", {"refresh": token})


def test_a_token_used_twice_ends_its_whole_session(ann: User) -> None:
    first = sign_in()["refresh"]
    second = refresh(first).json()["refresh"]
    third = refresh(second).json()["refresh"]

    replayed = refresh(first)

    assert (replayed.status_code, errors_of(replayed)) == (401, [(None, "token_not_valid")])
    assert details_of(replayed) == ["Token was used before, which ends the session: sign in again."]
    assert [refresh(token).status_code for token in (third, second, first)] == [401] * 3
    assert AuditEntry.objects.filter(action="session.reused", object_id=ann.pk).count() == 1


def test_another_session_of_the_same_user_goes_on(ann: User) -> None:
    stolen, own = sign_in()["refresh"], sign_in()["refresh"]
    refresh(stolen)
    refresh(stolen)

    assert refresh(own).status_code == 200


def test_a_session_is_ended_by_any_token_of_it(ann: User) -> None:
    first = sign_in()["refresh"]
    second = refresh(first).json()["refresh"]

    assert [revoke(first).status_code, revoke(second).status_code] == [204, 401]
    assert refresh(second).status_code == 401
    assert AuditEntry.objects.filter(action="session.ended", object_id=ann.pk).count() == 1


def test_a_new_password_ends_all_sessions(ann: User) -> None:
    pair = sign_in()
    ann.set_password("another one, quite long")
    ann.save()

    assert refresh(pair["refresh"]).status_code == 401
    assert call(Client(headers={"Authorization": f"Bearer {pair['access']}"}), "GET", "me/").status_code == 401


def test_a_session_does_not_come_back_with_its_user(ann: User) -> None:
    admin = Client(headers={"Authorization": f"Bearer {_admin_token()}"})
    token = sign_in()["refresh"]

    for is_active in (False, True):
        assert call(admin, "PATCH", f"users/{ann.pk}/", {"is_active": is_active}).status_code == 200

    assert refresh(token).status_code == 401


def test_a_session_runs_out_and_is_cleared_away(ann: User, settings: Settings) -> None:
    sign_in()
    TokenFamily.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    sign_in()

    assert TokenFamily.objects.filter(expires_at__gt=timezone.now()).count() == 1
    assert TokenFamily.objects.count() == 1


def test_a_refresh_keeps_the_session_alive_for_another_week(ann: User) -> None:
    token = sign_in()["refresh"]
    TokenFamily.objects.update(expires_at=timezone.now() + timedelta(hours=1))

    refresh(token)

    assert TokenFamily.objects.get().expires_at > timezone.now() + timedelta(days=6)


@pytest.mark.django_db(transaction=True)
def test_twins_get_one_successor_and_then_nobody_any_more() -> None:
    UserFactory(username="ann")
    token = sign_in()["refresh"]

    def ask(_: int) -> Any:
        try:
            return refresh(token)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [401] * 7
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    assert refresh(winner.json()["refresh"]).status_code == 401


def test_signing_in_is_written_down_with_who_and_from_where(ann: User) -> None:
    sign_in()

    entry = AuditEntry.objects.get(action="user.signed_in")
    assert (entry.actor_id, entry.actor, entry.role, entry.via) == (ann.pk, "ann", "triggerOperator", "api")
    assert (entry.address, entry.object_id) == ("127.0.0.1", ann.pk)
    ann.refresh_from_db()
    assert ann.last_login is not None


@pytest.mark.parametrize("body", [{}, {"refresh": 17}, {"refresh": ""}, {"refresh": "x" * 5000}, []])
def test_what_is_no_token_is_told_so(body: Any) -> None:
    for path in ("auth/token/refresh/", "auth/token/revoke/"):
        answer = call(stranger(), "POST", path, body)
        assert answer.status_code == 400
        assert errors_of(answer)


def _admin_token() -> str:
    UserFactory(username="root")
    body = {"username": "root", "password": PASSWORD}
    return str(call(stranger(), "POST", "auth/token/", body).json()["access"])
