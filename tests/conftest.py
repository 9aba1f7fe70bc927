"""What every test may ask for."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.models import User
from accounts.recently import recent_keys, recent_users
from accounts.roles import Role
from notifyflow.front_door import headers_of_all
from tests.factories import UserFactory
from triggers import bells
from workflows.compiled import compiled_version


@pytest.fixture(autouse=True)
def nothing_left_behind(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """Give each test its own outbox and empty caches."""
    settings.OUTBOX_DIR = tmp_path / "outbox"
    # Django swaps in a backend that sends nothing; ours writes real files.
    settings.EMAIL_BACKEND = "channels.outbox.EmailBackend"
    cache.clear()
    compiled_version.cache_clear()
    recent_users.forget()
    recent_keys.forget()
    bells.broker_pause.end()
    bells.cache_pause.end()
    headers_of_all.cache_clear()
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def client_for() -> Callable[[Role], APIClient]:
    """Return a maker of API clients that are signed in with a role."""

    def make(role: Role) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {access_token(UserFactory(role=role))}")
        return client

    return make


@pytest.fixture
def api(client_for: Callable[[Role], APIClient]) -> APIClient:
    """Return a client signed in as a system admin, who may do everything but process."""
    return client_for(Role.SYSTEM_ADMIN)


def access_token(user: User) -> str:
    """Return an access token as the token endpoint gives it."""
    from accounts.tokens import AccessToken

    return str(AccessToken.of(user))
