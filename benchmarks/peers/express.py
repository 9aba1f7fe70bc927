"""The Express service and its BullMQ workers, on the same database as what they are compared with."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import jwt

from benchmarks.environment import Place, redis_url
from benchmarks.peers.install import HERE, node_peers
from benchmarks.web import free_port, wait_for_web

SECRET = "a-key-for-benchmarks-only-" + "x" * 40


def token() -> str:
    """Return a token that the Express service takes."""
    claims = {"user_id": "1", "role": "triggerOperator", "exp": datetime.now(UTC) + timedelta(hours=6)}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@contextmanager
def api(where: Place) -> Iterator[int]:
    """Run the service as two processes and yield its port; its queue is empty before and removed afterwards."""
    port = free_port()
    settings = _settings(where)
    _obliterate(where, settings)
    command = (str(node_peers()), "express_api.js", str(port), "2")
    try:
        with where.process("express", *command, folder=HERE, **settings):
            wait_for_web(port)
            yield port
    finally:
        _obliterate(where, settings)


@contextmanager
def workers(where: Place, *, processes: int, concurrency: int) -> Iterator[None]:
    """Run the workers of the service."""
    command = (str(node_peers()), "express_worker.js", str(concurrency), str(processes))
    with where.process("express-worker", *command, folder=HERE, **_settings(where)):
        log = where.folder / "express-worker.log"
        until = time.monotonic() + 60
        while "ready" not in log.read_text():
            if time.monotonic() > until:
                raise TimeoutError("The workers of the Express service did not get ready within a minute.")
            time.sleep(0.1)
        yield


def _settings(where: Place) -> dict[str, str]:
    found = json.loads(where.fixtures("peer-sql", "three-nodes"))
    return {
        "NODE_ENV": "production",
        "REDIS_URL": redis_url(),
        "PEER_QUEUE": where.name,
        "PEER_SQL": json.dumps(found["sql"]),
        "PEER_WORKFLOW": json.dumps(found["workflow"]),
        "PEER_JWT_SECRET": SECRET,
    }


def _obliterate(where: Place, settings: dict[str, str]) -> None:
    command = [str(node_peers()), "obliterate.js"]
    subprocess.run(command, cwd=HERE, env={**where.environment, **settings}, check=True, timeout=60)
