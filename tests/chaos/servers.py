"""PostgreSQL and Redis, as instances of the round's own; the brokers have a room of their own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos.supervisor import Supervisor
from tests.e2e.processes import free_port, wait_until
from tests.fakes.proxy import HOST

DATABASE = "notifyflow"
# Of Debian's packages, whose programs are not in the PATH.
POSTGRESQL_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PACKAGES = {"initdb": "postgresql", "postgres": "postgresql", "redis-server": "redis-server"}


class MissingProgramsError(Exception):
    """A round cannot start on this machine; the message says what to install."""


def check_programs() -> None:
    """Raise MissingProgramsError unless there is everything that a round cannot do without."""
    missing = [name for name in PACKAGES if _find(name) is None]
    if missing:
        packages = dict.fromkeys(PACKAGES[name] for name in missing)
        raise MissingProgramsError(
            f"Chaos needs {', '.join(missing)}: on Debian, apt-get install {' '.join(packages)}."
        )


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
            cwd="/", check=True, stdout=subprocess.DEVNULL, env=dict(supervisor.environment),
            user=user, group=user, extra_groups=[user] if user else None,
        )  # fmt: skip
        supervisor.keep(
            self.name, _program("postgres"), "-D", str(folder / "data"), "-p", str(self.port), "-k", str(folder),
            "-c", f"listen_addresses={HOST}", user=user, stop=signal.SIGINT, hurry=signal.SIGQUIT,
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
        self._supervisor.hold_back(self.name)
        self._supervisor.signal_main(self.name, signal.SIGQUIT)

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

    def __init__(self, supervisor: Supervisor, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self._supervisor = supervisor
        command = ("--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no", "--daemonize", "no")
        supervisor.keep(name, _program("redis-server"), *command)
        self.wait()
        self.url = f"redis://{HOST}:{self.port}/0"

    def wait(self) -> None:
        """Return when it takes connections."""
        wait_until(lambda: listens(self.port), seconds=30, what=f"{self.name} answers")

    def crash(self) -> None:
        """Kill it, and leave it dead for now."""
        self._supervisor.hold_back(self.name)
        self._supervisor.kill(self.name)

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
        """Return a client that gives up after two seconds: more tries would hold up what the round has planned."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(host=HOST, port=self.port, socket_timeout=2, socket_connect_timeout=2, retry=once)


def listens(port: int) -> bool:
    """Say whether somebody takes connections there."""
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


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


def _program(name: str) -> str:
    found = _find(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _find(name: str) -> str | None:
    return shutil.which(name) or next((str(at / name) for at in POSTGRESQL_FOLDERS if (at / name).is_file()), None)
