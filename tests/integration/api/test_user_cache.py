"""A token's user is read at most every few seconds, and a change is seen within them."""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.authentication import recent_users
from accounts.models import User
from accounts.roles import Role

pytestmark = pytest.mark.django_db

URL = "/api/v1/workflows/"


@pytest.fixture(autouse=True)
def remembering(settings: Settings) -> None:
    """Remember users, as the default is."""
    settings.USER_CACHE_SECONDS = 60


def test_the_user_is_read_once_in_a_while(api: APIClient, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        api.get(URL)
    with django_assert_num_queries(1):
        api.get(URL)


def test_a_user_changed_in_this_process_is_refused_at_once(api: APIClient) -> None:
    assert api.get(URL).status_code == 200
    user = User.objects.get()
    user.role = Role.WORKER_SERVICE
    user.save()

    assert api.get(URL).status_code == 403


def test_a_user_deactivated_elsewhere_is_refused_when_the_time_is_over(api: APIClient, settings: Settings) -> None:
    assert api.get(URL).status_code == 200
    User.objects.update(is_active=False)  # no signal, as from another process

    assert api.get(URL).status_code == 200
    settings.USER_CACHE_SECONDS = 0
    assert api.get(URL).status_code == 401


def test_the_memory_is_bounded(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.authentication.MOST_USERS", 2)
    for number in range(5):
        recent_users.put(str(number), User())

    assert len(recent_users._users) <= 2
