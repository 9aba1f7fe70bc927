"""A place to measure in: a database, queues and keys of this run alone, and the real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from celery import Celery

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
URGENT_LANES = ("critical", "high")
LANES = (*URGENT_LANES, "medium", "low", "sweep")
STOP_SECONDS = 60
TELL_EVERY_SECONDS = 10
Database = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark runs; `environment` is what its processes get."""

    name: str
    database_url: str
    environment: dict[str, str]
    folder: Path

    def under(self, **settings: str) -> "Place":
        """Return the same place with other settings for its processes."""
        return replace(self, environment={**self.environment, **settings})

    def database(self) -> Database:
        """Return a connection that commits each statement."""
        return psycopg.connect(self.database_url, autocommit=True)

    def fixtures(self, *arguments: str) -> str:
        """Run benchmarks.fixtures and return what it printed."""
        return self._run("-m", "benchmarks.fixtures", *arguments)

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        return self._run("manage.py", *arguments)

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    @contextmanager
    def process(
        self, name: str, *command: str, folder: Path = ROOT, **settings: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process for as long as the block lasts; its output goes to a log that is shown when the block fails."""
        log_path = self.folder / f"{name}.log"
        environment = {**self.environment, **settings}
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield process
            except BaseException:
                sys.stderr.write(log_path.read_text(errors="replace")[-3000:])
                raise
            finally:
                stop(process)

    def worker(self, *, concurrency: int, name: str = "worker", lanes: Sequence[str] = LANES) -> tuple[str, ...]:
        """Return the command of a Celery worker."""
        queues = ",".join(f"{self.name}.{lane}" for lane in lanes)
        celery = (sys.executable, "-m", "celery", "--quiet", "-A", "notifyflow", "worker", "-Q", queues)
        options = ("--prefetch-multiplier", "1", "--without-gossip", "--without-mingle")
        return (*celery, "--concurrency", str(concurrency), *options, "-n", f"{name}-{self.name}@%h")

    def beat(self) -> tuple[str, ...]:
        """Return the command of the beat, which has the sweep look every second."""
        celery = (sys.executable, "-m", "celery", "--quiet", "-A", "notifyflow")
        return (*celery, "beat", "--schedule", str(self.folder / "schedule"), "--pidfile", "")


def stop(process: "subprocess.Popen[Any]") -> None:
    """Ask a process of ours to end; whatever is then left of it and its children is killed."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"Process {process.pid} did not end within {STOP_SECONDS} s and is killed.", file=sys.stderr)
    with suppress(ProcessLookupError):
        # It leads a session of its own, so this reaches its descendants and nobody else.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def place(**settings: str) -> Iterator[Place]:
    """Make a fresh place with a migrated database, and clean up behind it."""
    server = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
    name = f"notifyflow-bench-{os.getpid()}"
    with TemporaryDirectory() as folder, psycopg.connect(server, autocommit=True) as admin:
        url = create_database(admin, server, name)
        made = Place(name, url, {**_environment(name, url, folder), **settings}, Path(folder))
        try:
            made.manage("migrate", "--verbosity", "0")
            yield made
        finally:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            _delete_queues(name, made.environment["CELERY_BROKER_URL"])
            _delete_keys(name)


def create_database(admin: Database, server: str, name: str) -> str:
    """Make an empty database and return its URL."""
    admin.execute(f'CREATE DATABASE "{name}"')
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def redis_url() -> str:
    """Return the Redis that measurements may use."""
    return os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379") + "/0"


def _environment(name: str, database_url: str, folder: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO_")}
    return {
        **kept,
        "SECRET_KEY": "a-key-for-benchmarks-only-" + "x" * 40,
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
        "CACHE_URL": redis_url(),
        "CACHE_KEY_PREFIX": name,
        "QUEUE_PREFIX": name,
        "NOTIFYFLOW_VAR": folder,
        "EMAIL_URL": "null://",
        "SMS_PROVIDER": "null",
        "LOG_LEVEL": "WARNING",
    }


def _delete_queues(name: str, broker_url: str) -> None:
    with Celery(broker=broker_url).connection_for_write() as connection:
        channel: Any = connection.default_channel
        for lane in LANES:
            channel.queue_delete(f"{name}.{lane}")


def _delete_keys(name: str) -> None:
    with redis.Redis.from_url(redis_url()) as cache:
        for key in cache.scan_iter(match=f"*{name}*", count=1_000):
            cache.delete(key)


def wait_until(
    database: Database, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float, what: str
) -> None:
    """Look until the query answers true, with a line of progress now and then. Raises TimeoutError."""
    started = told_at = time.monotonic()
    while True:
        row = database.execute(sql, parameters).fetchone()
        if row is not None and row[0]:
            return
        now = time.monotonic()
        if now - started > seconds:
            raise TimeoutError(f"Not within {seconds:.0f} s: {what}")
        if now - told_at > TELL_EVERY_SECONDS:
            print(f"        ... {what}, {now - started:.0f} s", flush=True)
            told_at = now
        time.sleep(0.1)
