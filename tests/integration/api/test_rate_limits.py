"""How many requests a minute a user may make: counted together by all processes, told in every answer."""

import logging
from collections.abc import Iterator
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import redis.exceptions
from django.core.cache import cache
from django.core.cache.backends.redis import RedisCache
from django.test import Client
from pytest_django import Settings

from accounts import throttling
from accounts.rate_limits import DEFAULT_LIMITS
from accounts.roles import Role
from accounts.throttling import Allowances, UserThrottle
from tests.factories import UserFactory
from tests.integration.api.answers import call, errors_of, signed_in, stranger
from tests.settings import RUN, TEST_REDIS_URL, WORKER

NOON = 1_800_000_000.0  # the beginning of a minute


class LostCache:
    """A cache that is away; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def add(self, *_: Any) -> bool:
        self.asked += 1
        raise redis.exceptions.ConnectionError("nobody there")


class CountedCache:
    """The cache of the test, which counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        return getattr(cache, name)


class Clock:
    """Both of the clocks that the throttle reads; stands still."""

    def __init__(self) -> None:
        self.now = NOON


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let time stand still at the beginning of a minute."""
    clock = Clock()
    monkeypatch.setattr(throttling, "time", lambda: clock.now)
    monkeypatch.setattr(throttling, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def redis_cache() -> Iterator[RedisCache]:
    """Return a real Redis, with keys of this test alone."""
    prefix = f"notifyflow-test-{RUN}-{WORKER}-{uuid4().hex}"
    made = RedisCache(TEST_REDIS_URL, {"KEY_PREFIX": prefix})
    yield made
    client = made._cache.get_client()
    client.delete(*client.keys(f"{prefix}*") or ["none"])


@pytest.fixture(params=["memory", "redis"])
def shared(request: pytest.FixtureRequest) -> Any:
    """Return each cache in turn."""
    return cache if request.param == "memory" else request.getfixturevalue("redis_cache")


@pytest.fixture
def few(settings: Settings) -> None:
    """Let everybody make three requests a minute."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 3)


def me(client: Client) -> Any:
    return call(client, "GET", "me/")


def rates(answer: Any) -> list[str | None]:
    names = ("Limit", "Remaining", "Reset", "Policy")
    return [answer.headers.get(f"RateLimit-{name}") for name in names]


@pytest.mark.django_db
@pytest.mark.usefixtures("few")
class TestAnswers:
    def test_the_one_past_the_limit_is_refused_and_told_when_to_come_again(self, clock: Clock) -> None:
        client = signed_in(UserFactory())
        clock.now += 20

        answers = [me(client) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert [rates(answer) for answer in answers] == [
            ["3", left, "40", "3;w=60"] for left in ("2", "1", "0", "0", "0")
        ]
        assert [answer.headers.get("Retry-After") for answer in answers] == [None, None, None, "40", "40"]
        assert errors_of(answers[3]) == [(None, "throttled")]

    def test_with_the_next_minute_everything_begins_anew(self, clock: Clock) -> None:
        client = signed_in(UserFactory())
        statuses = [me(client).status_code for _ in range(4)]
        clock.now += 59.5
        late = me(client)
        clock.now += 0.5

        assert (statuses, late.status_code, rates(late)[2]) == ([200, 200, 200, 429], 429, "1")
        assert me(client).status_code == 200

    def test_nobody_else_is_affected(self) -> None:
        busy, quiet = signed_in(UserFactory()), signed_in(UserFactory())

        assert [me(busy).status_code for _ in range(4)][-1] == 429
        assert (me(quiet).status_code, me(stranger()).status_code) == (200, 401)

    @pytest.mark.parametrize(("own", "statuses"), [(1, [200, 429, 429, 429]), (10, [200] * 4)])
    def test_a_limit_of_the_users_own_comes_first(self, own: int, statuses: list[int]) -> None:
        client = signed_in(UserFactory(rate_limit=own))

        answers = [me(client) for _ in range(4)]

        assert [answer.status_code for answer in answers] == statuses
        assert {rates(answer)[0] for answer in answers} == {str(own)}

    def test_a_change_of_the_limit_holds_at_once(self) -> None:
        user = UserFactory()
        client = signed_in(user)
        before = [me(client).status_code for _ in range(4)]
        user.rate_limit = 5
        user.save()

        assert before == [200, 200, 200, 429]
        assert [me(client).status_code for _ in range(3)] == [200, 200, 429]

    def test_refusals_count_and_tell_too(self) -> None:
        client = signed_in(UserFactory(role=Role.WORKER_SERVICE))

        answers = [call(client, method, path) for method, path in (("GET", "workflows/"), ("DELETE", "me/"))]

        assert [answer.status_code for answer in answers] == [403, 405]
        assert [rates(answer)[:2] for answer in answers] == [["3", "2"], ["3", "1"]]

    def test_strangers_are_told_nothing(self) -> None:
        assert rates(me(stranger())) == [None] * 4

    def test_without_a_cache_everybody_gets_in(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
    ) -> None:
        lost = LostCache()
        monkeypatch.setattr(UserThrottle, "allowances", Allowances(lost))
        client = signed_in(UserFactory())

        with caplog.at_level(logging.WARNING, "accounts.throttling"):
            answers = [me(client) for _ in range(10)]
            first_minute = len(caplog.records)
            clock.now += 61
            me(client)

        assert [answer.status_code for answer in answers] == [200] * 10
        assert rates(answers[0]) == [None] * 4
        # Asked again after some seconds only, or each request would wait for the cache's time limit.
        assert (lost.asked, first_minute, len(caplog.records)) == (2, 1, 2)


@pytest.mark.django_db
def test_each_role_has_a_limit_of_its_own(settings: Settings) -> None:
    settings.RATE_LIMITS = {role.value: 10 + number for number, role in enumerate(Role)}

    told = [rates(me(signed_in(UserFactory(role=role))))[0] for role in Role]

    assert told == ["10", "11", "12", "13"]


def test_the_defaults_know_every_role(settings: Settings) -> None:
    assert {role: settings.RATE_LIMITS[role] for role in Role} == DEFAULT_LIMITS


@pytest.mark.parametrize("limit", [1, 3, 100, 199])
def test_two_processes_count_small_limits_exactly(shared: Any, limit: int) -> None:
    one, other = Allowances(shared), Allowances(shared)

    taken = [(one, other)[number % 2].take("ann", limit) for number in range(limit + 4)]

    assert [rate is not None and rate.is_exceeded for rate in taken] == [False] * limit + [True] * 4
    assert [rate.remaining for rate in taken if rate] == [*reversed(range(limit)), 0, 0, 0, 0]


def test_of_a_large_limit_each_process_keeps_a_hundredth_at_most(shared: Any) -> None:
    processes = [Allowances(shared) for _ in range(3)]
    # Two have each drawn a slice and used one of it.
    for process in processes[1:]:
        process.take("ann", 1000)

    taken = [processes[0].take("ann", 1000) for _ in range(1000)]

    passed = [rate for rate in taken if rate and not rate.is_exceeded]
    assert len(passed) == 1000 - 2 * 10
    assert min(rate.remaining for rate in taken if rate) == 0
    # And what the others hold, they still may use.
    assert [rate and rate.is_exceeded for rate in (processes[1].take("ann", 1000) for _ in range(10))][:9] == [
        False
    ] * 9


def test_most_requests_ask_no_cache_and_none_asks_it_in_vain() -> None:
    counted = CountedCache()
    allowances = Allowances(counted)

    for _ in range(1000):
        allowances.take("ann", 100_000)
    assert counted.asked == 1
    for _ in range(1000):
        allowances.take("bea", 1)
    assert counted.asked == 2


def test_a_counter_that_was_lost_begins_anew_without_a_fault(shared: Any) -> None:
    allowances = Allowances(shared)
    allowances.take("ann", 3)
    shared.delete(f"rate:ann:{int(NOON // 60)}")

    rates_after = [allowances.take("ann", 3) for _ in range(4)]

    assert [rate and rate.is_exceeded for rate in rates_after] == [False, False, False, True]


def test_threads_that_come_together_get_no_more_than_the_limit(shared: Any) -> None:
    allowances = Allowances(shared)
    passed: list[bool] = []

    def take() -> None:
        for _ in range(50):
            rate = allowances.take("ann", 150)
            passed.append(rate is not None and not rate.is_exceeded)

    threads = [Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert passed.count(True) == 150


def test_what_is_kept_of_users_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "MOST_KEPT", 3)
    allowances = Allowances(cache)

    for number in range(10):
        allowances.take(str(number), 5)

    assert len(allowances._held) <= 3


@pytest.mark.django_db
def test_the_token_endpoint_says_when_to_come_again() -> None:
    # Another name each time, or the lock-out, which counts by name, would come first.
    bodies = [{"username": f"nobody-{number}", "password": "wrong"} for number in range(31)]

    answers = [call(stranger(), "POST", "auth/token/", body) for body in bodies]

    assert (answers[29].status_code, answers[30].status_code, errors_of(answers[30])) == (
        401,
        429,
        [(None, "throttled")],
    )
    assert 1 <= int(answers[30].headers["Retry-After"]) <= 60


@pytest.mark.django_db
def test_all_addresses_of_an_ipv6_network_are_one_caller() -> None:
    def sign_in(address: str) -> int:
        body = {"username": f"nobody-{uuid4()}", "password": "wrong"}
        return int(call(stranger(), "POST", "auth/token/", body, REMOTE_ADDR=address).status_code)

    assert [sign_in(f"2001:db8::{number:x}") for number in range(31)][-1] == 429
    assert [sign_in(address) for address in ("2001:db8:0:1::1", "192.0.2.1", "", "nonsense")] == [401] * 4
