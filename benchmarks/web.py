"""The web process, as the image runs it: two granian workers of sixteen threads."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.environment import BIN, Place
from benchmarks.posting import HOST


@contextmanager
def web(where: Place) -> Iterator[int]:
    """Run the web process and yield its port once it answers."""
    port = free_port()
    options = ("--interface", "wsgi", "--no-ws", "--host", HOST, "--port", str(port), "--workers", "2")
    threads = ("--blocking-threads", "16", "--backlog", "16384", "--no-access-log")
    with where.process("web", str(BIN / "granian"), *options, *threads, "notifyflow.wsgi:application"):
        wait_for_web(port)
        yield port


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for_web(port: int) -> None:
    """Wait until the process answers. Raises TimeoutError."""
    until = time.monotonic() + 60
    while not _answers(f"http://{HOST}:{port}/healthz"):
        if time.monotonic() > until:
            raise TimeoutError("The web process did not answer within a minute.")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False
