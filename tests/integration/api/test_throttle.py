"""The throttle of the log-in: whom it takes for the same caller."""

from uuid import uuid4

import pytest
from rest_framework.settings import api_settings

from tests.integration.api.answers import call, stranger

pytestmark = pytest.mark.django_db


def sign_in(forwarded_for: str) -> int:
    # Another name each time, or the lock-out, which counts by name, would come first.
    body = {"username": f"nobody-{uuid4()}", "password": "wrong"}
    answer = call(stranger(), "POST", "auth/token/", body, headers={"X-Forwarded-For": forwarded_for})
    return int(answer.status_code)


def test_a_made_up_address_in_a_header_does_not_get_round_it() -> None:
    assert [sign_in(f"10.0.0.{number}") for number in range(31)] == [401] * 30 + [429]


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)

    assert {sign_in(f"10.0.0.{number}, 192.0.2.1") for number in range(30)} == {401}
    assert sign_in("10.0.0.99, 192.0.2.1") == 429
    assert sign_in("10.0.0.99, 192.0.2.2") == 401
