"""Guessing at the token endpoint: what is counted, who is held up by it, and what nobody can tell from the answers."""

import json
import logging
import threading
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone
from pytest_django import Settings

import notifyflow.settings as real
from accounts import lockout, second_factor
from accounts.audit import SYSTEM, Action
from accounts.models import AuditEntry, User
from accounts.roles import Role
from tests.factories import PASSWORD, UserFactory
from tests.integration.admin.codes import Clock, clock_for
from tests.integration.api.answers import call, errors_of, stranger

pytestmark = pytest.mark.django_db

HERE, THERE = "198.51.100.7", "198.51.100.8"


@pytest.fixture(autouse=True)
def few_failures_lock(settings: Settings) -> None:
    """Lock after three failures, and let the throttle, which is another matter, out of it."""
    settings.AXES_FAILURE_LIMIT = 3
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"token": None}}


@pytest.fixture
def ann() -> User:
    """Return a user with the password of all factories."""
    user: User = UserFactory(username="ann")
    return user


def token(
    name: Any, password: Any = "not it", *, address: str = HERE, client: Client | None = None, **more: Any
) -> Any:
    body = {"username": name, "password": password, **more}
    return call(client or stranger(), "POST", "auth/token/", body, REMOTE_ADDR=address)


def lock(name: str, *, address: str = HERE) -> None:
    for _ in range(3):
        token(name, address=address)


# --- what locks ---


@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_repeated_failures_lock_a_name_from_an_address_whether_anybody_has_it_or_not(ann: User, name: str) -> None:
    answers = [token(name) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert errors_of(answers[3]) == [(None, "locked_out")]
    assert 0 < int(answers[3]["Retry-After"]) <= 15 * 60


def test_while_locked_the_right_password_is_refused_too_and_no_password_is_looked_at(
    ann: User, hashings: Callable[[], int]
) -> None:
    lock("ann")
    before = hashings()

    answer = token("ann", PASSWORD)

    assert (answer.status_code, hashings() - before) == (429, 0)


def test_others_behind_the_same_address_and_the_owner_elsewhere_are_not_held_up(ann: User) -> None:
    UserFactory(username="bea")
    lock("ann")

    assert token("bea", PASSWORD).status_code == 200
    assert token("ann", PASSWORD, address=THERE).status_code == 200


def test_the_lock_ends_and_guessing_on_does_not_prolong_it(ann: User) -> None:
    lock("ann")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14))
    left = int(token("ann", PASSWORD)["Retry-After"])
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))

    assert left <= 60
    assert token("ann", PASSWORD).status_code == 200


def test_expired_failures_are_cleared_away(ann: User) -> None:
    for name in ("one", "two"):
        token(name)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))

    token("three")

    assert [attempt.username for attempt in AccessAttempt.objects.all()] == ["three"]


def test_a_success_forgets_the_failures(ann: User) -> None:
    for _ in range(2):
        token("ann")
        token("ann")
        assert token("ann", PASSWORD).status_code == 200


def test_a_lost_cache_unlocks_nobody(ann: User) -> None:
    lock("ann")

    cache.clear()

    assert token("ann", PASSWORD).status_code == 429


def test_failures_count_whatever_program_they_seem_to_come_from(ann: User) -> None:
    for number in range(3):
        token("ann", client=Client(raise_request_exception=False, headers={"User-Agent": f"guesser/{number}"}))

    assert token("ann", PASSWORD).status_code == 429
    assert AccessAttempt.objects.count() == 1


def test_it_can_be_turned_off(ann: User, settings: Settings) -> None:
    settings.AXES_ENABLED = settings.AXES_LOCK_OUT_AT_FAILURE = False
    settings.AXES_FAILURE_LIMIT = 0

    lock("ann")

    assert token("ann", PASSWORD).status_code == 200
    assert not AccessAttempt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_guesses_made_at_once_are_all_counted(ann: User, settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 100
    answers = []

    def guess() -> None:
        answers.append(token("ann").status_code)
        connection.close()

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [401] * 20
    assert [attempt.failures_since_start for attempt in AccessAttempt.objects.all()] == [20]


# --- what counts together ---


def test_another_spelling_opens_nothing_and_is_no_way_around(ann: User) -> None:
    wide = "\N{FULLWIDTH LATIN SMALL LETTER A}nn"
    assert unicodedata.normalize("NFKC", wide) == "ann"

    assert [token(name, PASSWORD).status_code for name in ("ANN", wide)] == [401, 401]
    for name in (" ann", wide, "ann"):
        token(name)

    assert token("ann", PASSWORD).status_code == 429


def test_who_owns_a_name_that_differs_in_case_wipes_out_nothing(ann: User) -> None:
    UserFactory(username="Ann")
    token("ann")
    token("ann")

    token("Ann", PASSWORD)

    assert token("ann").status_code == 429


def test_of_ipv6_the_network_counts_and_what_is_no_address_counts_together(ann: User, settings: Settings) -> None:
    for end in (1, 2, 3):
        token("ann", address=f"2001:db8:0:1::{end}")
        token("bea", address=["", "unknown", "10.0.0.1:4711"][end - 1])

    assert token("ann", PASSWORD, address="2001:db8:0:1:ffff::9").status_code == 429
    assert token("ann", PASSWORD, address="2001:db8:0:2::1").status_code == 200
    assert token("bea", address="fe80::1%eth0").status_code == 401
    assert token("bea", address="nonsense").status_code == 429


def test_an_address_that_anybody_can_write_is_not_believed(ann: User) -> None:
    for number in range(3):
        call(
            stranger(),
            "POST",
            "auth/token/",
            {"username": "ann", "password": "no"},
            REMOTE_ADDR=HERE,
            HTTP_X_FORWARDED_FOR=f"203.0.113.{number}",
        )

    assert token("ann", PASSWORD).status_code == 429


@pytest.mark.parametrize(
    "name",
    [
        "x" * 10_000,
        "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 5_000,
        "a\0b",
        "\ud800",
        "\U0001f600",
        "' OR 1=1 --",
    ],
)
def test_no_name_is_too_odd(name: str) -> None:
    statuses = {token(name).status_code for _ in range(4)}

    assert statuses in ({400}, {401, 429})


@pytest.mark.parametrize(
    "body", [{"username": ["ann"], "password": {}}, {"username": None}, {"username": 1}, [], "ann", None]
)
def test_what_is_no_name_is_a_bad_request_and_counts_for_nobody(body: Any) -> None:
    answer = call(stranger(), "POST", "auth/token/", body)

    assert answer.status_code == 400
    assert not AccessAttempt.objects.exists()


# --- what nobody can tell ---


@pytest.fixture
def hashings(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return how often passwords have been hashed so far."""
    from django.contrib.auth.hashers import MD5PasswordHasher

    seen = []
    encode = MD5PasswordHasher.encode

    def counting(self: MD5PasswordHasher, password: str, salt: str) -> str:
        seen.append(1)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    return lambda: len(seen)


def cases() -> dict[str, tuple[str, str]]:
    """Make one user of each kind; return name and password to try, by the kind."""
    UserFactory(username="active")
    UserFactory(username="inactive", is_active=False)
    service = UserFactory(username="service", role=Role.WORKER_SERVICE, is_service=True)
    service.set_unusable_password()
    service.save()
    return {
        "unknown": ("nobody", "not it"),
        "wrong": ("active", "not it"),
        "inactive": ("inactive", "not it"),
        "inactive, right": ("inactive", PASSWORD),
        "service": ("service", "not it"),
    }


def test_the_answer_and_its_cost_are_the_same_whoever_it_is_about(hashings: Callable[[], int]) -> None:
    answers = {}
    for kind, (name, password) in cases().items():
        before = hashings()
        answer = token(name, password)
        answers[kind] = (answer.status_code, answer.content, hashings() - before)

    assert len(set(answers.values())) == 1, answers
    assert [cost for _, _, cost in answers.values()] == [1] * 5


def test_the_answer_and_its_cost_are_the_same_at_the_admin_too(hashings: Callable[[], int]) -> None:
    answers = {}
    for kind, (name, password) in cases().items():
        before = hashings()
        answer = Client().post("/admin/login/", {"username": name, "password": password})
        cost = hashings() - before
        answers[kind] = (answer.status_code, str(answer.context["form"].non_field_errors()), cost)

    assert len(set(answers.values())) == 1, answers
    assert [cost for _, _, cost in answers.values()] == [1] * 5


def test_what_is_said_while_locked_is_the_same_too(ann: User) -> None:
    lock("ann")
    lock("nobody")

    first, second = (json.loads(token(name).content) for name in ("ann", "nobody"))

    assert first == second


def test_neither_name_nor_password_is_logged(ann: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    for name in ("ann", "hunter2-typed-as-a-name"):
        for _ in range(4):
            token(name, "a-secret-guess")
    token("ann", PASSWORD, address=THERE)

    assert "Locking out 198.51.100.7 at /api/v1/auth/token/" in caplog.text
    assert [word for word in ("a-secret-guess", "hunter2", PASSWORD) if word in caplog.text] == []
    kept = [(each.post_data, each.get_data) for each in AccessAttempt.objects.all()]
    assert "a-secret-guess" not in str(kept)


# --- unlocking ---


def test_a_system_admin_unlocks_and_the_trail_says_so(ann: User) -> None:
    lock("ann")
    lock("ann", address=THERE)

    assert lockout.unlock("ann", by=SYSTEM)
    assert not lockout.unlock("ann", by=SYSTEM)

    assert token("ann", PASSWORD).status_code == 200
    assert [(entry.action, entry.object_name) for entry in AuditEntry.objects.filter(action=Action.USER_UNLOCKED)] == [
        ("user.unlocked", "ann")
    ]


def test_who_is_locked_out_can_be_seen(ann: User) -> None:
    UserFactory(username="bea")
    lock("ann")
    token("bea")

    seen = {user.username: user.is_locked_out for user in lockout.with_lock(User.objects.all())}  # type: ignore[attr-defined]  # annotated

    assert seen == {"ann": True, "bea": False}


def test_the_command_unlocks(ann: User, capsys: pytest.CaptureFixture[str]) -> None:
    lock("ann")

    call_command("axes_reset_username", "ann")

    assert token("ann", PASSWORD).status_code == 200


# --- the second factor, at the API ---


@pytest.fixture
def clock(ann: User, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Clock:
    """Give Ann a second factor; return the clock that its codes go by."""
    settings.OTP_TOTP_THROTTLE_FACTOR = settings.OTP_STATIC_THROTTLE_FACTOR = 0
    clock = clock_for(monkeypatch)
    second_factor.new_pending_device(ann)
    second_factor.add(ann, clock.next_code(ann), by=SYSTEM)
    return clock


def test_the_password_alone_gets_no_token_of_a_user_with_a_second_factor(ann: User, clock: Clock) -> None:
    without = token("ann", PASSWORD)
    blank, wrong = (token("ann", PASSWORD, otp=otp) for otp in ("", "000000"))

    assert [errors_of(answer) for answer in (without, blank, wrong)] == [
        [(None, "second_factor_required")],
        [(None, "second_factor_required")],
        [(None, "second_factor_wrong")],
    ]
    assert {answer.status_code for answer in (without, blank, wrong)} == {401}


def test_with_the_code_it_does_and_the_code_works_once(ann: User, clock: Clock) -> None:
    code = clock.next_code(ann)

    assert [token("ann", PASSWORD, otp=code).status_code for _ in range(2)] == [200, 401]


def test_of_the_second_factor_nothing_is_told_before_the_password_is_right(ann: User, clock: Clock) -> None:
    answers = {token(name, "no", otp=clock.next_code(ann)).content for name in ("ann", "nobody")}

    assert len(answers) == 1


def test_wrong_codes_lock_like_wrong_passwords(ann: User, clock: Clock) -> None:
    answers = [token("ann", PASSWORD, otp="000000").status_code for _ in range(3)]
    answers.append(token("ann", PASSWORD, otp=clock.next_code(ann)).status_code)

    assert answers == [401, 401, 429, 429]


@pytest.mark.parametrize("otp", [123456, ["1"], {}, None, "1" * 5000, "a\0", "\ud800", True])
def test_no_code_is_too_odd(ann: User, clock: Clock, otp: Any) -> None:
    assert token("ann", PASSWORD, otp=otp).status_code == 400


# --- how passwords are kept ---


def test_passwords_are_hashed_with_argon2_and_older_hashes_become_so_at_the_next_sign_in() -> None:
    with override_settings(PASSWORD_HASHERS=real.PASSWORD_HASHERS):
        new = User.objects.create_user("new", password=PASSWORD, role=Role.TRIGGER_OPERATOR)
        with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
            old = User.objects.create_user("old", password=PASSWORD, role=Role.TRIGGER_OPERATOR)
        was = old.password

        answer = token("old", PASSWORD)
        old.refresh_from_db()

    assert answer.status_code == 200
    assert (was.split("$")[0], old.password.split("$")[0], new.password.split("$")[0]) == (
        "pbkdf2_sha256",
        "argon2",
        "argon2",
    )
