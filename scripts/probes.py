"""Which services the project needs, and whether each one answers. Starts and changes nothing."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import amqp
import kombu
import psycopg
import redis

TIMEOUT_SECONDS = 3


@dataclass(frozen=True)
class Service:
    """One service: the setting that names it, the addresses tried without one, and how to greet it."""

    name: str
    setting: str
    default_urls: tuple[str, ...]
    greet: Callable[[str], None]

    @property
    def chosen_url(self) -> str | None:
        """The address somebody set; then only that one counts, and it is theirs to start."""
        return os.environ.get(self.setting) or None

    @property
    def urls(self) -> tuple[str, ...]:
        return (self.chosen_url,) if self.chosen_url else self.default_urls

    @property
    def place(self) -> str:
        """Host and port, without the password that the URL may carry."""
        parts = urlsplit(self.urls[0])
        return f"{parts.hostname}:{parts.port or DEFAULT_PORTS[parts.scheme]}"


@dataclass(frozen=True)
class Reading:
    """What a service said: the URL that works, or why it sent us away, or neither when nobody listens."""

    url: str | None = None
    refusal: str | None = None


DEFAULT_PORTS = {"postgres": 5432, "postgresql": 5432, "amqp": 5672, "redis": 6379}


def look(service: Service) -> Reading:
    """Greet the service in its own protocol, log-in included, at each address in turn."""
    refusal = None
    for url in service.urls:
        if not _is_listening(url):
            continue
        try:
            service.greet(url)
        except _Refused as error:
            refusal = str(error)
        except _NotYet:
            continue
        else:
            return Reading(url=url)
    return Reading(refusal=refusal)


class _Refused(Exception):
    """Something listens and sends us away."""


class _NotYet(Exception):
    """The right service listens and is still starting or stopping."""


def _is_listening(url: str) -> bool:
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORTS[parts.scheme])
    try:
        socket.create_connection(address, timeout=TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def _greet_postgresql(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=TIMEOUT_SECONDS).close()
    except psycopg.OperationalError as error:
        # libpq gives no SQLSTATE for a connection that was never made, only words.
        if "starting up" in str(error) or "shutting down" in str(error):
            raise _NotYet from error
        raise _Refused(_first_line(error)) from error


def _greet_rabbitmq(url: str) -> None:
    try:
        with kombu.Connection(url, connect_timeout=TIMEOUT_SECONDS) as connection:
            connection.connect()
    except (amqp.exceptions.AMQPError, OSError) as error:
        # A booting node hangs up in the middle of the greeting; a wrong password gets a word for it.
        if isinstance(error, OSError):
            raise _NotYet from error
        raise _Refused(_first_line(error)) from error


def _greet_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS
        ) as client:
            client.ping()
    except redis.BusyLoadingError as error:
        raise _NotYet from error
    except redis.RedisError as error:
        raise _Refused(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


POSTGRESQL = Service(
    name="PostgreSQL",
    setting="TEST_DATABASE_URL",
    # A cluster that trusts local connections; the container that Docker starts; the role made on Debian.
    default_urls=(
        "postgres://postgres@127.0.0.1:5432/postgres",
        "postgres://postgres:postgres@127.0.0.1:5432/postgres",
        "postgres://notifyflow:notifyflow@127.0.0.1:5432/postgres",
    ),
    greet=_greet_postgresql,
)
RABBITMQ = Service(
    name="RabbitMQ",
    setting="TEST_AMQP_URL",
    default_urls=("amqp://guest:guest@127.0.0.1:5672//",),
    greet=_greet_rabbitmq,
)
REDIS = Service(
    name="Redis",
    setting="TEST_REDIS_URL",
    default_urls=("redis://127.0.0.1:6379",),
    greet=_greet_redis,
)
SERVICES = (POSTGRESQL, RABBITMQ, REDIS)
