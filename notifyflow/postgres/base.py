"""A connection to PostgreSQL that nobody waits for without end.

`statement_timeout` is the server's to keep. A server that takes TCP and says nothing (frozen, or behind a proxy or a
firewall that has lost it) would hold a request for ever; here the client gives up, drops the connection, and says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base

HEALTH_CHECK_SECONDS = 2.0


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up on an answer after `answer_seconds`."""

    answer_seconds: float | None = None

    def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
        """Wait for what the generator waits for. Raises psycopg.OperationalError when that takes too long."""
        if self.answer_seconds is None or more.get("timeout") is not None:
            return super().wait(gen, *args, **more)
        try:
            return super().wait(gen, *args, **{**more, "timeout": self.answer_seconds})
        except psycopg.errors._WaitTimeout:  # noqa: SLF001  # the name under which `wait` documents it
            # An answer that came after all would be taken for that of the next statement.
            self.close()
            raise psycopg.OperationalError(f"The server said nothing for {self.answer_seconds:g} s.") from None


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, on such connections."""

    Database = SimpleNamespace(**{**vars(psycopg), "connect": BoundedConnection.connect})  # type: ignore[assignment]  # a module
    _bound: float | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; within `answering_within`, no longer than that."""
        if self._bound is not None:
            conn_params = {**conn_params, "connect_timeout": int(self._bound)}
        made = super().get_new_connection(conn_params)
        made.answer_seconds = self._bound or settings.DATABASE_ANSWER_SECONDS
        return made

    def is_usable(self) -> bool:
        """Say, soon, whether the server answers."""
        with self.answering_within(HEALTH_CHECK_SECONDS):
            return super().is_usable()

    @contextmanager
    def answering_within(self, seconds: float) -> Iterator[None]:
        """Give up sooner, in this block; libpq connects within two seconds at the least."""
        before, self._bound = self._bound, seconds
        self._limit(seconds)
        try:
            yield
        finally:
            self._bound = before
            self._limit(before or settings.DATABASE_ANSWER_SECONDS)

    def _limit(self, seconds: float) -> None:
        if self.connection is not None:
            self.connection.answer_seconds = seconds
