"""Whoever rings keeps a connection to the broker, and must find out when it was cut."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery.beat import Scheduler
from django.conf import settings

from notifyflow.celery import app
from tests.fakes.proxy import Proxy
from tests.integration.brokers.conftest import BROKERS, bells_in_queue, connected_to, lose_flags
from triggers import bells

PORTS = {"amqp": 5672, "redis": 6379}


@pytest.fixture(params=BROKERS)
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """Have the application talk to a broker through a proxy, with the queue there and empty."""
    url, options = BROKERS[request.param]
    parts = urlsplit(url)
    queue = bells.queue_of("medium")
    with Proxy((parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme])) as between:
        user, at, _ = parts.netloc.rpartition("@")
        here = parts._replace(netloc=f"{user}{at}127.0.0.1:{between.port}").geturl()
        with connected_to(here, options):
            with app.connection_for_write() as connection:
                app.amqp.queues[queue](connection.default_channel).declare()
            yield between
            with app.connection_for_write() as connection:
                channel: Any = connection.default_channel
                channel.queue_delete(queue)


def test_the_bell_after_the_broker_has_cut_the_connection_is_heard(proxy: Proxy) -> None:
    bells.ring("medium")
    assert bells_in_queue("medium") == 1
    lose_flags()

    proxy.cut()
    bells.ring("medium")

    assert bells_in_queue("medium") == 1


def test_beat_goes_on_ticking_after_the_broker_has_cut_its_connection(proxy: Proxy) -> None:
    """It keeps one connection for as long as it lives."""
    tick: dict[str, Any] = settings.CELERY_BEAT_SCHEDULE["sweep"]
    options = {**tick["options"], "queue": bells.queue_of("medium")}
    scheduler: Any = Scheduler(app, lazy=True)
    entry = scheduler.Entry(name="sweep", app=app, task=tick["task"], schedule=tick["schedule"], options=options)
    scheduler.apply_async(entry, producer=scheduler.producer, advance=False)

    proxy.cut()
    time.sleep(0.3)

    for _ in range(3):
        scheduler.apply_async(entry, producer=scheduler.producer, advance=False)
    scheduler.close()
