"""Whoever rings keeps a connection to the broker, and must find out when it was cut."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

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
