"""Accepted triggers a second: one POST for each trigger, on two granian workers, over kept connections."""

import json
import socket
import threading
import time
from collections import Counter

from benchmarks.environment import BIN

REQUESTS = 6_000
CONNECTIONS = 16
HOST = "127.0.0.1"


def granian(port: int) -> tuple[str, ...]:
    """Return the command of the web process."""
    options = ("--interface", "wsgi", "--host", HOST, "--port", str(port), "--workers", "2", "--no-access-log")
    return (str(BIN / "granian"), *options, "--blocking-threads", "4", "notifyflow.wsgi:application")


def posts_per_second(port: int, token: str, round_number: int) -> float:
    """Post REQUESTS triggers over CONNECTIONS connections and return the rate; all must be answered with 202."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    # Made beforehand: the client shares the server's processors, and shall take as little of them as it can.
    requests = [_request(token, f"post-round-{round_number}-{number}", number) for number in range(REQUESTS)]

    def post(number: int) -> None:
        counted = _post_many(port, requests[number::CONNECTIONS])
        with lock:
            statuses.update(counted)

    threads = [threading.Thread(target=post, args=[number]) for number in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - started
    assert statuses == {202: REQUESTS}, statuses
    return REQUESTS / taken


def _post_many(port: int, requests: list[bytes]) -> Counter[int]:
    """Speak just enough HTTP/1.1 to leave the processor to the server."""
    statuses: Counter[int] = Counter()
    with socket.create_connection((HOST, port)) as connection:
        answers = connection.makefile("rb")
        for request in requests:
            connection.sendall(request)
            statuses[int(answers.readline().split()[1])] += 1
            length = 0
            while (line := answers.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            answers.read(length)
    return statuses


def _request(token: str, key: str, number: int) -> bytes:
    body = json.dumps(
        {
            "workflow": "three-nodes",
            "idempotency_key": key,
            "recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
            "context": {"order": {"id": number, "total": 99.9}},
        }
    ).encode()
    head = (
        f"POST /api/v1/triggers/ HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
