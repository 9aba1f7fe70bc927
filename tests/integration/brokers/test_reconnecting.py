"""How long a worker waits between its tries while the broker is away."""

from itertools import pairwise
from typing import Any

import pytest
from kombu import Connection
from kombu.utils import functional

from notifyflow.celery import app
from notifyflow.consumer import LONGEST_WAIT_SECONDS, Consumer
from tests.e2e.processes import free_port


class EnoughSeen(Exception):
    """Ends what otherwise goes on until the broker is back."""


def test_a_worker_asks_for_its_broker_every_few_seconds_and_never_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[float] = []
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        if slept > 500:
            raise EnoughSeen

    class Looking(Connection):
        def _connection_factory(self) -> Any:
            tries.append(slept)
            return super()._connection_factory()

    monkeypatch.setattr(functional, "sleep", sleep)
    consumer = Consumer.__new__(Consumer)
    consumer.app = app
    consumer.broker_connection_retry_attempt = 0
    consumer.first_connection_attempt = False
    with pytest.raises(EnoughSeen):
        consumer.ensure_connected(Looking(f"redis://127.0.0.1:{free_port()}/0"))
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert max(waits) <= LONGEST_WAIT_SECONDS
    assert len(tries) > 100
