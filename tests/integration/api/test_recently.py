"""Users and keys are read at most every few seconds, and a change is seen within them."""

from time import monotonic
from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import ApiKey, User
from accounts.recently import Recently, recent_users
from accounts.roles import Role
from tests.integration.api.test_api_keys import bearer, service_key

pytestmark = pytest.mark.django_db

URL = "/api/v1/workflows/"


@pytest.fixture(autouse=True)
def remembering(settings: Settings) -> None:
    """Remember, as the default is."""
    settings.USER_CACHE_SECONDS = 60


def test_the_user_is_read_once_in_a_while(api: APIClient, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        api.get(URL)
    with django_assert_num_queries(1):
        api.get(URL)


def test_a_key_is_read_and_its_use_noted_once_in_a_while(django_assert_num_queries: Any) -> None:
    client = bearer(service_key(Role.WORKFLOW_MANAGER))

    with django_assert_num_queries(3):
        assert client.get(URL).status_code == 200
    with django_assert_num_queries(1):
        assert client.get(URL).status_code == 200


def test_a_user_changed_in_this_process_is_refused_at_once(api: APIClient) -> None:
    assert api.get(URL).status_code == 200
    user = User.objects.get()
    user.role = Role.WORKER_SERVICE
    user.save()

    assert api.get(URL).status_code == 401


def test_a_user_deactivated_elsewhere_is_refused_when_the_time_is_over(api: APIClient, settings: Settings) -> None:
    assert api.get(URL).status_code == 200
    User.objects.update(is_active=False)  # no signal, as from another process

    assert api.get(URL).status_code == 200
    settings.USER_CACHE_SECONDS = 0
    assert api.get(URL).status_code == 401


@pytest.mark.parametrize("changes", [{"revoked_at": "2026-01-01T00:00:00Z"}, {"digest": "another"}])
def test_a_key_revoked_elsewhere_is_refused_when_the_time_is_over(changes: dict[str, str], settings: Settings) -> None:
    client = bearer(service_key(Role.WORKFLOW_MANAGER))
    assert client.get(URL).status_code == 200
    ApiKey.objects.update(**changes)

    assert client.get(URL).status_code == 200
    settings.USER_CACHE_SECONDS = 0
    assert client.get(URL).status_code == 401


def test_a_key_s_user_deactivated_in_this_process_is_refused_at_once() -> None:
    client = bearer(service_key(Role.WORKFLOW_MANAGER))
    assert client.get(URL).status_code == 200
    user = User.objects.get()
    user.is_active = False
    user.save()

    assert client.get(URL).status_code == 401


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.recently.MOST_KEPT", 2)
    memory: Recently[User] = Recently()
    for number in range(5):
        memory.put(str(number), User(), read_at=monotonic())

    assert [memory.get(str(number)) is not None for number in range(5)] == [False] * 4 + [True]
    assert recent_users is not memory
