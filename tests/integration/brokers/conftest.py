"""Real brokers, with queues of this test alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import kombu.pools
import pytest
from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connections
from pytest_django import Settings

from notifyflow.celery import app
from tests.settings import TEST_AMQP_URL, TEST_REDIS_URL
from triggers import bells
from triggers.bells import lane_queues

BROKERS: dict[str, tuple[str, dict[str, Any]]] = {
    "rabbitmq": (TEST_AMQP_URL, {"confirm_publish": True, "confirm_timeout": 2}),
    "redis": (TEST_REDIS_URL, {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 60}),
}


@contextmanager
def connected_to(url: str, options: dict[str, Any]) -> Iterator[None]:
    """Have the Celery application talk to another broker."""
    before = app.conf["broker_url"], app.conf["broker_transport_options"]
    app.conf.update(broker_url=url, broker_transport_options=options)
    _forget_connections()
    try:
        yield
    finally:
        app.conf.update(broker_url=before[0], broker_transport_options=before[1])
        _forget_connections()


def _forget_connections() -> None:
    bells.broker_pause.end()
    kombu.pools.reset()
    # What a forked child does: it drops the connections that the application keeps.
    application: Any = app
    application._after_fork()


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, settings: Settings) -> Iterator[str]:
    """Connect to a broker, with fresh queues that are deleted at the end."""
    url, options = BROKERS[request.param]
    settings.QUEUE_PREFIX = f"{django_settings.QUEUE_PREFIX}-{uuid4().hex[:8]}"
    if request.param == "redis":
        options = {**options, "global_keyprefix": f"{settings.QUEUE_PREFIX}:"}
    with connected_to(url, options):
        with app.connection_for_write() as connection:
            for name in lane_queues():
                app.amqp.queues[name](connection.default_channel).declare()
        yield request.param
        with app.connection_for_write() as connection:
            channel: Any = connection.default_channel
            for name in lane_queues():
                channel.queue_delete(name)


@pytest.fixture
def worker(broker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a Celery worker on the broker, in a thread."""
    # A worker that ends with its thread would leave the connection it keeps between tasks open.
    task_postrun.connect(_close_connections)
    # In a thread it looks at what came while it started, and at its own end, no sooner than at the next heartbeat.
    monkeypatch.setitem(app.conf, "broker_heartbeat", 3)
    with start_worker(
        app, pool="solo", perform_ping_check=False, queues=lane_queues(), loglevel="ERROR", shutdown_timeout=20
    ):
        yield
    task_postrun.disconnect(_close_connections)


def _close_connections(**_: object) -> None:
    connections.close_all()


def bells_in_queue(lane: str) -> int:
    """Take every bell out of a lane's queue, as a broker does that loses its messages, and return how many."""
    from triggers.bells import queue_of

    taken = 0
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        while (message := channel.basic_get(queue_of(lane), no_ack=True)) is not None:
            assert message.headers["task"] == "execution.advance_due"
            taken += 1
    return taken


def lose_flags() -> None:
    """Let the bell flags run out."""
    cache.clear()
