"""Redis as broker, with one repair: a worker outlives the loss of its connection (DESIGN section 9).

When the connection breaks while tasks run, kombu closes it and then tries to give back, or to acknowledge, what came in
over it. Its callers pass over the errors of a connection; what they get is an AttributeError, which ends the worker.
A bell that was not acknowledged comes again, and costs an empty query.
"""

from typing import Any

from kombu import transport
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError


class Channel(kombu_redis.Channel):
    """A channel that says of a closed connection what it is."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("The connection to the broker was closed.")
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]  # not in the stubs
        return parameters


class Transport(kombu_redis.Transport):
    """Redis, as in a `redis://` or `rediss://` address."""

    Channel = Channel


def register() -> None:
    """Have `redis://` and `rediss://` mean this transport, in every process that speaks with a broker."""
    transport.TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))
