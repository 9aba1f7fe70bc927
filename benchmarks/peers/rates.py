"""How many steps a second the peers do: each function runs one peer for real and removes what it left."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from benchmarks.environment import ROOT, Place, create_database, redis_url, stop
from benchmarks.peers.install import HERE, node_peers, python_peers

TIME_LIMIT_SECONDS = 600


def bullmq(where: Place, jobs: int, *, concurrency: int) -> float:
    """Run jobs that do nothing on two worker processes of BullMQ."""
    environment = {**os.environ, "REDIS_URL": redis_url(), "PEER_QUEUE": where.name}
    said = _said([str(node_peers()), str(HERE / "bullmq_steps.js"), str(jobs), str(concurrency), "2"], environment)
    return said["steps"] / said["seconds"]


def celery(where: Place, tasks: int, *, broker_url: str, multiplier: int) -> float:
    """Run tasks that do nothing on a Celery worker, prefork 2."""
    settings = {"PEER_BROKER_URL": broker_url, "PEER_QUEUE": f"{where.name}-peer"}
    command = [*_python("celery_steps"), str(tasks), str(multiplier)]
    said = _said(command, {**os.environ, **settings, "PYTHONWARNINGS": "ignore"})
    return said["steps"] / said["seconds"]


def dbos(where: Place, workflows: int, *, threads: int) -> float:
    """Run workflows of three steps that do nothing in two processes of DBOS; return steps a second."""
    with _database(where, "dbos") as url:
        said = _together([*_python("dbos_steps"), str(workflows // 2), str(threads)], url)
    return sum(each["steps"] for each in said) / _span(said)


def procrastinate(where: Place, jobs: int, *, concurrency: int) -> float:
    """Run jobs that do nothing on two worker processes of procrastinate."""
    with _database(where, "procrastinate") as url:
        script = _python("procrastinate_steps")
        subprocess.run([*script, "fill", str(jobs)], cwd=ROOT, env=_with(url), check=True, capture_output=True)
        said = _together([*script, "work", str(concurrency)], url)
    return jobs / _span(said)


def _python(module: str) -> list[str]:
    return [str(python_peers()), "-m", f"benchmarks.peers.{module}"]


@contextmanager
def _database(where: Place, suffix: str) -> Iterator[str]:
    server = where.database_url
    name = f"{where.name}-{suffix}"
    with psycopg.connect(server, autocommit=True) as admin:
        try:
            yield create_database(admin, server, name).replace("postgres://", "postgresql://", 1)
        finally:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _with(database_url: str) -> dict[str, str]:
    return {**os.environ, "PEER_DATABASE_URL": database_url}


def _said(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a peer and return the JSON of its last line."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=TIME_LIMIT_SECONDS)
    finally:
        stop(process)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors.strip()[-800:]}")
    found: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return found


def _together(command: list[str], database_url: str) -> list[dict[str, float]]:
    """Run two processes of a peer, have both begin at once, and return what each said at the end."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_waiting(command, database_url)) for _ in range(2)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [_last_json(process) for process in processes]


@contextmanager
def _waiting(command: list[str], database_url: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_with(database_url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        while (line := process.stdout.readline()).strip() != "ready":
            if not line:
                raise RuntimeError(f"{' '.join(command)} did not get ready.")
        yield process
    finally:
        stop(process)


def _last_json(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdout is not None
    while line := process.stdout.readline():
        if line.startswith("{"):
            found: dict[str, float] = json.loads(line)
            return found
    raise RuntimeError("A peer ended without an answer.")


def _span(said: list[dict[str, float]]) -> float:
    return max(each["ended"] for each in said) - min(each["started"] for each in said)
