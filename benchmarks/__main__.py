"""`make bench`: measures, prints a table with each bar, and keeps the numbers as JSON in benchmarks/results/."""

import json
import os
import platform
import socket
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.engine import fixtures, steps_per_second
from benchmarks.environment import Place, place
from benchmarks.ingest import HOST, granian, posts_per_second

RESULTS = Path(__file__).parent / "results"
ROUNDS = 3
ENGINE = "durable steps/s: 10,000 three-node triggers, null provider, one worker process"
INGEST = "single POST/s: two granian workers, 16 connections"
BARS = {ENGINE: 3_000, INGEST: 600}


def main() -> None:
    """Measure in alternating rounds, so that a slow minute of the machine falls on both, and report the medians."""
    samples: dict[str, list[float]] = {name: [] for name in BARS}
    with place() as where:
        fixtures(where, "workflow")
        token = fixtures(where, "operator")
        for number in range(ROUNDS):
            # What is not measured at the moment is stopped.
            with where.process("worker", *where.worker(concurrency=1)):
                samples[ENGINE].append(steps_per_second(where, number))
            print(f"  round {number + 1}: {samples[ENGINE][-1]:8,.0f}  {ENGINE}")
            with _web(where) as port:
                samples[INGEST].append(posts_per_second(port, token, number))
            print(f"  round {number + 1}: {samples[INGEST][-1]:8,.0f}  {INGEST}")
            _forget_posted(where)
    _report(samples)


@contextmanager
def _web(where: Place) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    with where.process("web", *granian(port)):
        until = time.monotonic() + 60
        while not _answers(f"http://{HOST}:{port}/healthz"):
            if time.monotonic() > until:
                raise TimeoutError("The web process did not answer within a minute.")
            time.sleep(0.1)
        yield port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def _forget_posted(where: Place) -> None:
    """Delete what was posted, so that the next round's worker has the same work as this one's."""
    with psycopg.connect(where.database_url, autocommit=True) as database:
        database.execute("DELETE FROM triggers_trigger WHERE idempotency_key LIKE 'post-%%'")


def _report(samples: dict[str, list[float]]) -> None:
    bars: list[dict[str, Any]] = []
    print(f"\n{'median':>10} {'at least':>10} {'met':>5}   what")
    for name, at_least in BARS.items():
        measured = statistics.median(samples[name])
        is_met = measured >= at_least
        bars.append({"name": name, "measured": measured, "at_least": at_least, "met": is_met, "rounds": samples[name]})
        print(f"{measured:10,.0f} {at_least:10,} {'yes' if is_met else 'no':>5}   {name}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load_after": os.getloadavg()}
    path.write_text(json.dumps({"machine": machine, "bars": bars}, indent=2) + "\n")
    print(f"\nKept in {path.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
