"""The part of a worker that takes bells from the broker: how it comes back after an outage."""

from functools import partial

from celery.worker import consumer
from kombu import Connection

# Kombu waits longer with each try, up to half a minute; bells are to be heard soon after the broker is back.
LONGEST_WAIT_SECONDS = 4


class Consumer(consumer.Consumer):
    """Celery's, which tries again at least every LONGEST_WAIT_SECONDS for as long as the broker is away."""

    def ensure_connected(self, conn: Connection) -> Connection:
        """Return the connection once it stands."""
        # Celery calls it without saying how long to wait.
        patient = partial(conn.ensure_connection, interval_max=LONGEST_WAIT_SECONDS)
        conn.ensure_connection = patient  # type: ignore[method-assign]  # of this one connection
        connected: Connection = super().ensure_connected(conn)
        return connected
