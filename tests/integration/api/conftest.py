"""Clients of the API that see a 500 as an answer."""

import pytest
from django.test import Client

from accounts.roles import Role
from tests.factories import UserFactory
from tests.integration.api.answers import signed_in


@pytest.fixture
def admin(db: None) -> Client:
    """Return a client signed in as a system admin."""
    return signed_in(UserFactory(role=Role.SYSTEM_ADMIN))
