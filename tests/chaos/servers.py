"""The servers of a round: PostgreSQL and Redis of its own, and a RabbitMQ that is shared and so kept behind a proxy."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import amqp
import psycopg
import redis

from tests.chaos.proxy import HOST, Proxy
from tests.chaos.supervisor import Supervisor
from tests.e2e.processes import free_port, wait_until
from tests.settings import TEST_AMQP_URL

LANES = ("critical", "high", "medium", "low", "sweep")
DATABASE = "notifyflow"
# Of Debian's packages, whose programs are not in the PATH.
POSTGRESQL_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Postgres:
    """An instance of its own, so that it can be stopped in the middle of a commit."""

    name = "postgresql"

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self.port = free_port()
        self._supervisor = supervisor
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user, user)
        subprocess.run(
            [
                _program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                "--no-sync",
            ],
            cwd="/", check=True, stdout=subprocess.DEVNULL,
            user=user, group=user, extra_groups=[user] if user else None,
        )  # fmt: skip
        supervisor.keep(
            self.name, _program("postgres"), "-D", str(folder / "data"), "-p", str(self.port), "-k", str(folder),
            "-c", f"listen_addresses={HOST}", user=user, stop_number=signal.SIGINT,
        )  # fmt: skip
        wait_until(self.answers, seconds=60, what="PostgreSQL answers")
        with psycopg.connect(self._url("postgres"), autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{DATABASE}"')
        self.url = self._url(DATABASE)

    def answers(self) -> bool:
        """Say whether it lets us in."""
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def crash(self) -> None:
        """Stop it as `pg_ctl stop -m immediate` does: no word to anybody, recovery at the next start."""
        self._supervisor.hold_back(self.name, signal.SIGQUIT)

    def start(self) -> None:
        """Have it started again."""
        self._supervisor.let_go(self.name)

    def terminate_backends(self, share: float) -> int:
        """End this share of the connections, whatever they are about. Return how many; 0 while it is away."""
        statement = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid() AND random() < %s"
        )
        try:
            with psycopg.connect(self.url, autocommit=True, connect_timeout=2) as admin:
                row = admin.execute(statement, [DATABASE, share]).fetchone()
        except psycopg.OperationalError:
            return 0
        return int(row[0]) if row else 0

    def _url(self, database: str) -> str:
        return f"postgres://postgres@{HOST}:{self.port}/{database}"


class Redis:
    """An instance of its own that keeps nothing on disk: what is killed comes back empty."""

    def __init__(self, supervisor: Supervisor, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._supervisor = supervisor
        command = ("--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no", "--daemonize", "no")
        supervisor.keep(name, _program("redis-server"), *command)
        wait_until(self._answers, seconds=30, what=f"{name} answers")
        self.url = f"redis://{HOST}:{self.port}/0"

    def crash(self) -> None:
        """Kill it, and leave it dead for now."""
        self._supervisor.hold_back(self.name, signal.SIGKILL)

    def start(self) -> None:
        """Have it started again, empty."""
        self._supervisor.let_go(self.name)

    def silence(self) -> None:
        """Let it take connections and answer nothing."""
        self._supervisor.freeze(self.name)

    def speak(self) -> None:
        """Let it answer again."""
        self._supervisor.thaw(self.name)

    def empty(self) -> None:
        """Lose everything it holds."""
        with suppress(redis.RedisError), self.client() as client:
            client.flushall()

    def client(self) -> "redis.Redis":
        """Return a client with a time limit."""
        return redis.Redis(host=HOST, port=self.port, socket_timeout=2, socket_connect_timeout=2)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


class Broker(Protocol):
    """What a round does to a broker; `url` is for the processes."""

    url: str

    def crash(self) -> None:
        """Be gone, with every connection."""

    def start(self) -> None:
        """Be there again."""

    def silence(self) -> None:
        """Take connections and answer nothing."""

    def speak(self) -> None:
        """Answer again."""

    def cut(self) -> None:
        """Close every connection at once."""

    def purge(self) -> None:
        """Lose every message."""

    def delete_queues(self) -> None:
        """Lose the queues themselves."""


class RedisBroker(Redis):
    """Redis as broker."""

    def __init__(self, supervisor: Supervisor, *, prefix: str) -> None:
        super().__init__(supervisor, "redis-broker")
        self._queues = [f"{prefix}.{lane}" for lane in LANES]

    def cut(self) -> None:
        """Close every connection at once."""
        with suppress(redis.RedisError), self.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")

    def purge(self) -> None:
        """Lose every message that nobody has taken."""
        with suppress(redis.RedisError), self.client() as client:
            client.delete(*self._queues)

    def delete_queues(self) -> None:
        """Lose everything: messages taken or not, and who is bound to what."""
        self.empty()


@dataclass
class RabbitBroker:
    """A virtual host of its own, if rabbitmqctl may make one, behind a proxy: the server itself has other users."""

    url: str
    _direct: str
    _vhost: str | None
    _proxy: Proxy
    _queues: list[str]

    def crash(self) -> None:
        """Refuse and cut; the messages stay, as durable queues' do."""
        self._proxy.refuse()

    def start(self) -> None:
        """Take connections again."""
        self._proxy.listen()

    def silence(self) -> None:
        """Pass nothing on."""
        self._proxy.silence()

    def speak(self) -> None:
        """Pass on what was held back."""
        self._proxy.speak()

    def cut(self) -> None:
        """Have the server close every connection, or cut them here."""
        if self._vhost is None or not _rabbitmqctl("close_all_connections", "--vhost", self._vhost, "chaos"):
            self._proxy.cut()

    def purge(self) -> None:
        """Empty every queue."""
        self._each_queue("queue_purge")

    def delete_queues(self) -> None:
        """Delete every queue, with what it holds, under its consumers."""
        self._each_queue("queue_delete")

    def _each_queue(self, method: str) -> None:
        parts = urlsplit(self._direct)
        host = f"{parts.hostname}:{parts.port or 5672}"
        vhost = self._vhost or "/"
        with amqp.Connection(
            host=host,
            userid=parts.username or "guest",
            password=parts.password or "guest",
            virtual_host=vhost,
            connect_timeout=5,
        ) as connection:
            for queue in self._queues:
                with suppress(amqp.NotFound):
                    getattr(connection.channel(), method)(queue)


@contextmanager
def rabbitmq(*, run: str, prefix: str) -> Iterator[RabbitBroker]:
    """Prepare the broker for one round, and take every trace of it away."""
    parts = urlsplit(TEST_AMQP_URL)
    vhost: str | None = f"notifyflow-chaos-{run}"
    if not (_rabbitmqctl("add_vhost", vhost) and _rabbitmqctl(
        "set_permissions", "-p", vhost, parts.username or "guest", ".*", ".*", ".*"
    )):  # fmt: skip
        vhost = None
    try:
        with Proxy((parts.hostname or HOST, parts.port or 5672)) as proxy:
            place = f"{parts.username}:{parts.password}@{HOST}:{proxy.port}"
            url = f"amqp://{place}/{vhost or '/'}"
            broker = RabbitBroker(url, TEST_AMQP_URL, vhost, proxy, [f"{prefix}.{lane}" for lane in LANES])
            yield broker
            if vhost is None:
                broker.delete_queues()
    finally:
        if vhost is not None:
            _rabbitmqctl("delete_vhost", vhost)


@contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """Make a folder that another user may own, with a short path for the socket, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="notifyflow-chaos-pg-"))
    try:
        yield folder
    finally:
        # A server that was stopped this moment may still be at it.
        for _ in range(20):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.2)


def _rabbitmqctl(*arguments: str | None) -> bool:
    program = shutil.which("rabbitmqctl")
    if program is None:
        return False
    done = subprocess.run(
        [program, "-q", *filter(None, arguments)], check=False, timeout=60,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode == 0


def _program(name: str) -> str:
    found = shutil.which(name) or next((str(at / name) for at in POSTGRESQL_FOLDERS if (at / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"Chaos needs {name}: on Debian, apt-get install postgresql redis-server.")
    return found
