"""A client that leaves the processor to the server: requests made beforehand, one thread, just enough HTTP/1.1."""

import json
import resource
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

HOST = "127.0.0.1"
PATH = "/api/v1/triggers/"
SILENCE_SECONDS = 60


@dataclass(slots=True)
class Posted:
    """What came of many requests; `late_ms` counts from when each was sent, or should have been at a given rate."""

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    late_ms: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return how many were answered in a second."""
        return sum(self.statuses.values()) / self.seconds

    def all_were(self, status: int) -> "Posted":
        """Return itself. Raises AssertionError when there was any other answer, or an error."""
        assert not self.errors, self.errors
        assert set(self.statuses) == {status}, self.statuses
        return self


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    buffer: bytes = b""
    since: float = 0.0


def request(method: str, path: str, token: str, body: object = None) -> bytes:
    """Return the bytes of one request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def trigger_request(token: str, key: str, number: int, *, workflow: str = "three-nodes") -> bytes:
    """Return a POST of one trigger."""
    return request("POST", PATH, token, {"workflow": workflow, **trigger_item(key, number)})


def trigger_item(key: str, number: int) -> dict[str, Any]:
    """Return what is asked for one person."""
    return {
        "idempotency_key": key,
        "recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
        "context": {"order": {"id": number, "total": 99.9}},
    }


def send_all(
    port: int,
    requests: Sequence[bytes],
    *,
    connections: int,
    rate: float | None = None,
    keep_bodies: bool = False,
) -> Posted:
    """Open all connections, then send all requests over them: as fast as answers come, or so many a second."""
    posted = Posted()
    waiting = deque(requests)
    with selectors.DefaultSelector() as selector:
        idle = deque(_open(port, connections, selector, posted))
        opened = len(idle)
        busy: set[int] = set()
        started = last = time.perf_counter()
        sent = 0
        while waiting or busy:
            now = time.perf_counter()
            while waiting and idle and (rate is None or started + sent / rate <= now):
                connection = idle.popleft()
                connection.since = now if rate is None else started + sent / rate
                _send(connection, waiting.popleft(), posted)
                busy.add(id(connection))
                sent += 1
            if not opened or now - last > SILENCE_SECONDS:
                posted.errors["silence"] += len(waiting) + len(busy)
                break
            timeout = max(started + sent / rate - now, 0) if rate and waiting and idle else 1.0
            for key, _ in selector.select(timeout):
                connection = key.data
                is_open, is_answered = _receive(connection, posted, keep_bodies=keep_bodies)
                last = time.perf_counter()
                if is_answered or not is_open:
                    busy.discard(id(connection))
                if is_answered and is_open:
                    idle.append(connection)
                if not is_open:
                    selector.unregister(connection.socket)
                    connection.socket.close()
                    opened -= 1
        posted.seconds = time.perf_counter() - started
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return posted


def _open(port: int, count: int, selector: selectors.BaseSelector, posted: Posted) -> list[_Connection]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = []
    for _ in range(count):
        try:
            connection = _Connection(socket.create_connection((HOST, port), timeout=SILENCE_SECONDS))
        except OSError as error:
            posted.errors[type(error).__name__] += 1
            continue
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        opened.append(connection)
    return opened


def _send(connection: _Connection, content: bytes, posted: Posted) -> None:
    try:
        connection.socket.sendall(content)
    except OSError as error:
        # What the connection says next is its end, and counts as an error there too.
        posted.errors[type(error).__name__] += 1


def _receive(connection: _Connection, posted: Posted, *, keep_bodies: bool) -> tuple[bool, bool]:
    """Read what is there; say whether the connection is still open, and whether an answer is complete."""
    try:
        data = connection.socket.recv(65536)
    except OSError as error:
        posted.errors[type(error).__name__] += 1
        return False, False
    if not data:
        posted.errors["closed"] += 1
        return False, False
    connection.buffer += data
    head, separator, body = connection.buffer.partition(b"\r\n\r\n")
    if not separator:
        return True, False
    lowered = head.lower()
    length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    if len(body) < length:
        return True, False
    posted.statuses[int(head[9:12])] += 1
    posted.late_ms.append((time.perf_counter() - connection.since) * 1000)
    if keep_bodies:
        posted.bodies.append(body)
    connection.buffer = b""
    return b"connection: close" not in lowered, True


def send_large(port: int, content: bytes, path: str, token: str) -> tuple[int, bytes]:
    """POST a large body over a connection of its own; return the status and the answer."""
    connection = HTTPConnection(HOST, port, timeout=120)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
