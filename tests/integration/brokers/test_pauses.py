"""For how long a process goes without a broker, a cache or a lost bell; the clock is moved on, nobody sleeps."""

import socket
from collections.abc import Callable, Iterator
from time import monotonic, time
from types import SimpleNamespace

import pytest
from django.core.cache.backends import locmem
from pytest_django import Settings

from tests.integration.api.test_health import redis_cache
from tests.integration.brokers.conftest import bells_in_queue, lose_flags
from triggers import bells


@pytest.fixture
def move_on(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what moves the clocks of the pauses and of the flags on."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(bells, "monotonic", lambda: monotonic() + seconds)
        monkeypatch.setattr(locmem, "time", SimpleNamespace(time=lambda: time() + seconds))

    return move


def test_a_bell_that_got_lost_is_rung_again_within_five_seconds(broker: str, move_on: Callable[[float], None]) -> None:
    """With a look of the sweep each second: its flag is down before the fifth."""
    bells.ring("medium")
    assert bells_in_queue("medium") == 1  # taken out and never delivered

    move_on(4)
    bells.ring("medium")

    assert bells_in_queue("medium") == 1


def test_one_of_many_tries_the_broker_when_the_pause_is_over(move_on: Callable[[float], None]) -> None:
    pause = bells.Pause()
    assert [pause.begin(), pause.begin()] == [True, False]
    assert pause.is_on()

    move_on(bells.AWAY_SECONDS + 1)

    assert [pause.is_on() for _ in range(3)] == [False, True, True]
    pause.end()
    assert not pause.is_on()


def test_a_broker_that_took_a_bell_is_paused_no_longer(broker: str, move_on: Callable[[float], None]) -> None:
    bells.broker_pause.begin()
    bells.ring("medium")
    assert bells_in_queue("medium") == 0
    move_on(bells.AWAY_SECONDS + 1)

    for _ in range(2):
        bells.ring("medium")
        assert bells_in_queue("medium") == 1
        lose_flags()


@pytest.fixture
def cache_server(settings: Settings) -> Iterator[socket.socket]:
    """Run a cache that takes connections and says nothing, and whose time-out nobody should have to wait for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        settings.CACHES = redis_cache(server.getsockname()[1])
        yield server
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def test_a_cache_that_said_nothing_is_asked_no_more_for_a_while(broker: str, cache_server: socket.socket) -> None:
    bells.ring("medium")
    assert bells.cache_pause.is_on()
    asked, _ = cache_server.accept()
    asked.close()

    for _ in range(2):
        bells.ring("medium")
        bells.lower_flag("medium")

    with pytest.raises(TimeoutError):
        cache_server.accept()
    assert bells_in_queue("medium") == 3


def test_a_worker_that_asks_a_silent_cache_finds_out_once(cache_server: socket.socket) -> None:
    bells.lower_flag("medium")
    asked, _ = cache_server.accept()
    asked.close()

    bells.lower_flag("medium")

    with pytest.raises(TimeoutError):
        cache_server.accept()
