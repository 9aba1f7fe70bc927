"""A place to measure in: a database, queues and keys of this run alone, and the real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from celery import Celery

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LANES = ("critical", "high", "medium", "low", "sweep")
STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark runs; `environment` is what its processes get."""

    name: str
    database_url: str
    environment: dict[str, str]
    folder: Path

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True)
        return done.stdout

    @contextmanager
    def process(self, name: str, *command: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process for as long as the block lasts; its output goes to a log that is shown when it fails."""
        log_path = self.folder / f"{name}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
            try:
                yield process
            except BaseException:
                sys.stderr.write(log_path.read_text(errors="replace")[-4000:])
                raise
            finally:
                process.terminate()
                process.wait(STOP_SECONDS)

    def worker(self, *, concurrency: int) -> tuple[str, ...]:
        """Return the command of a Celery worker on every lane."""
        queues = ",".join(f"{self.name}.{lane}" for lane in LANES)
        celery = (sys.executable, "-m", "celery", "--quiet", "-A", "notifyflow", "worker", "-Q", queues)
        return (
            *celery,
            "--concurrency",
            str(concurrency),
            "--without-gossip",
            "--without-mingle",
            "-n",
            f"{self.name}@%h",
        )


@contextmanager
def place() -> Iterator[Place]:
    """Make a fresh place with a migrated database, and clean up behind it."""
    server = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres")
    name = f"notifyflow-bench-{os.getpid()}"
    with TemporaryDirectory() as folder, psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        made = Place(name, url, _environment(name, url, folder), Path(folder))
        try:
            made.manage("migrate", "--verbosity", "0")
            yield made
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            _delete_queues(name, made.environment["CELERY_BROKER_URL"])


def _environment(name: str, database_url: str, folder: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO_")}
    return {
        **kept,
        "SECRET_KEY": "a-key-for-benchmarks-only-" + "x" * 40,
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//"),
        "CACHE_URL": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379") + "/0",
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


def wait_for_count(database: "psycopg.Connection[tuple[int]]", sql: str, wanted: int, *, seconds: float) -> None:
    """Look at a count until it is reached. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while True:
        row = database.execute(sql).fetchone()
        if row is not None and row[0] >= wanted:
            return
        if time.monotonic() > until:
            raise TimeoutError(f"{row} of {wanted} within {seconds} s: {sql}")
        time.sleep(0.05)
