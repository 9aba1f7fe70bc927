"""The embedded service's parts that need no process: demo data, taking over, and the checks and logs around it."""

import logging
from datetime import timedelta
from typing import Any, cast

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.tokens import AccessToken
from channels.phone_numbers import to_e164
from execution.claims import claim_batch
from notifyflow.checks import check_shared_cache
from notifyflow.embedded import demo
from notifyflow.logs import logging_config
from notifyflow.management.commands.embedded import take_over
from tests.factories import TriggerFactory
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


def test_new_demo_users_have_the_default_password() -> None:
    demo.seed(password=None)

    assert set(User.objects.values_list("username", flat=True)) == set(demo.USERS)
    assert demo.with_own_password() == []


def test_a_changed_password_stays() -> None:
    demo.seed(password=None)
    change_password("operator")

    demo.seed(password=None)

    assert User.objects.get(username="operator").check_password("my own words")
    assert demo.with_own_password() == ["operator"]


def test_a_password_that_is_given_becomes_everybodys() -> None:
    demo.seed(password=None)
    change_password("operator")

    demo.seed(password="given")

    assert all(user.check_password("given") for user in User.objects.all())


def test_the_example_token_needs_no_password() -> None:
    demo.seed(password=None)
    User.objects.update(password="!")

    token = AccessToken(cast("Any", demo.access_token()))

    assert token["user_id"] == str(User.objects.get(username=demo.TRIGGERED_BY).pk)


def test_the_example_calls_nobodys_number() -> None:
    number = to_e164(demo.TRIGGER["recipient"]["phone"])

    assert number.startswith("+1415555")
    assert 100 <= int(number[-4:]) <= 199


def test_taking_over_frees_leases_of_any_length_and_dates_nothing_ahead(settings: Settings) -> None:
    settings.LEASE_SECONDS = 10 * 3600
    trigger = TriggerFactory()
    claim_batch("medium", limit=9, now=timezone.now())
    settings.LEASE_SECONDS = 60

    assert take_over() == 1

    freed = Trigger.objects.get(pk=trigger.pk)
    assert (freed.status, freed.claim_id) == (TriggerStatus.ENQUEUED, None)
    assert timezone.now() - timedelta(seconds=30) < freed.updated_at <= timezone.now()


@pytest.mark.parametrize(
    ("is_embedded", "backend", "found"),
    [
        (False, "django.core.cache.backends.locmem.LocMemCache", ["notifyflow.W001"]),
        (False, "django.core.cache.backends.redis.RedisCache", []),
        (True, "django.core.cache.backends.locmem.LocMemCache", []),
    ],
)
def test_the_full_profile_asks_for_a_shared_cache(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, is_embedded: bool, backend: str, found: list[str]
) -> None:
    settings.IS_EMBEDDED = is_embedded
    # In place: assigning CACHES would make Django open the cache anew.
    monkeypatch.setitem(settings.CACHES["default"], "BACKEND", backend)

    assert [message.id for message in check_shared_cache()] == found


def test_a_traceback_on_the_terminal_shows_no_values() -> None:
    formatter = dict(logging_config(is_json=False, level="INFO")["formatters"]["structured"])
    formatter = formatter.pop("()")(**formatter)
    try:
        fail_with("a secret")
    except ValueError as error:
        record = logging.LogRecord(
            "a", logging.ERROR, __file__, 1, "It failed", None, (type(error), error, error.__traceback__)
        )

    shown = formatter.format(record)

    assert "ValueError: no" in shown
    assert "a secret" not in shown.replace('fail_with("a secret")', "")


def fail_with(password: str) -> None:
    raise ValueError("no")


def change_password(username: str) -> None:
    user = User.objects.get(username=username)
    user.set_password("my own words")
    user.save()
