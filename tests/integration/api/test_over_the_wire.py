"""What only a real server over a real socket can be asked: framing, slowness, and bytes that are no HTTP."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from time import monotonic

import pytest
from django.db import connections
from django.test import RequestFactory

from notifyflow.embedded.threads import Web
from tests.conftest import access_token
from tests.e2e.processes import BIN, Processes, answers, free_port, wait_until
from tests.factories import UserFactory, WorkflowFactory
from tests.front import served
from tests.integration.api.answers import JSON, details_of, errors_of
from triggers.models import Trigger

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class WireAnswer:
    """An answer, as read from a socket."""

    status_code: int
    headers: dict[str, str]
    content: bytes


@dataclass(frozen=True)
class Server:
    """A server that listens, and the head of an authorised request to it."""

    port: int
    token: str

    def head(self, *lines: str, target: str = "POST /api/v1/triggers/") -> bytes:
        """Return a request line and headers."""
        common = (f"{target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", f"Authorization: Bearer {self.token}")
        return "\r\n".join([*common, *lines, "", ""]).encode("latin-1")

    def ask(self, *parts: bytes) -> WireAnswer:
        """Send bytes in parts and return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECONDS) as wire:
            for part in parts:
                try:
                    wire.sendall(part)
                except (ConnectionResetError, BrokenPipeError):
                    # It has answered already and listens no more.
                    break
            return read(wire)


def read(wire: socket.socket) -> WireAnswer:
    """Return the answer that comes until the other side hangs up."""
    received = b""
    # It may hang up with something unread; what it said before that counts.
    with suppress(ConnectionResetError):
        while more := wire.recv(65536):
            received += more
    head, _, content = received.partition(b"\r\n\r\n")
    line, *headers = head.decode("latin-1").split("\r\n")
    return WireAnswer(
        int(line.split(" ")[1]),
        {name.title().replace("Id", "ID"): value for name, value in (header.split(": ", 1) for header in headers)},
        content,
    )


def body(**more: object) -> bytes:
    """Return a trigger's body."""
    return json.dumps({"workflow": "known", "idempotency_key": "k", **more}).encode()


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    """Give data in chunks, as a client does that doesn't know its length beforehand."""
    for start in range(0, len(data), size):
        chunk = data[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve the project as `make run` does, on any free port."""
    # Each request's connection ends with it: the threads' own would outlive the test's database.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    WorkflowFactory(key="known")
    web = Web(host="127.0.0.1", port=0)
    web.start()
    yield Server(int(web._server.effective_port), access_token(UserFactory()))
    web.stop()


def test_a_body_in_chunks_is_read(server: Server) -> None:
    head = server.head(f"Content-Type: {JSON}", "Transfer-Encoding: chunked")

    answer = server.ask(head, *chunked(body(context={"text": "x" * 100_000}), 1000))

    assert answer.status_code == 202
    assert len(Trigger.objects.get().context["text"]) == 100_000


@pytest.mark.parametrize(("size", "status"), [(100_000, 202), (3_000_000, 413)])
def test_a_body_in_chunks_is_read_also_from_a_server_that_does_not_count_them(size: int, status: int) -> None:
    """granian hands such a body over without a length; waitress, above, with one."""
    WorkflowFactory(key="known")
    head = {"content_type": JSON, "headers": {"Authorization": f"Bearer {access_token(UserFactory())}"}}
    environ = RequestFactory().post("/api/v1/triggers/", **head).environ  # type: ignore[arg-type]  # its keywords are of many types
    del environ["CONTENT_LENGTH"]
    environ |= {"wsgi.input": BytesIO(body(context={"text": "x" * size})), "wsgi.input_terminated": True}

    answer = served(environ)

    assert answer.status_code == status


def test_a_body_that_is_too_large_is_refused_in_chunks_too(server: Server) -> None:
    head = server.head(f"Content-Type: {JSON}", "Transfer-Encoding: chunked")

    answers = [server.ask(head, *chunked(body(context={"text": "x" * size}), 65536)) for size in (1_000_000, 3_000_000)]

    assert [(answer.status_code, errors_of(answer)) for answer in answers] == [
        (413, [(None, "context_too_large")]),
        (413, [(None, "body_too_large")]),
    ]
    assert Trigger.objects.count() == 0


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    data = body(context={"text": "x" * 3_000_000})

    answer = server.ask(server.head(f"Content-Type: {JSON}", f"Content-Length: {len(data)}"), data)

    assert (answer.status_code, errors_of(answer)) == (413, [(None, "body_too_large")])


def test_a_length_that_is_too_small_ends_the_body_there(server: Server) -> None:
    for length in (1, 20):
        answer = server.ask(server.head(f"Content-Type: {JSON}", f"Content-Length: {length}"), body())
        assert (answer.status_code, errors_of(answer)) == (400, [(None, "parse_error")])
    assert Trigger.objects.count() == 0


def test_a_length_that_is_too_large_makes_no_trigger(server: Server) -> None:
    head = server.head(f"Content-Type: {JSON}", f"Content-Length: {len(body()) + 100}")

    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as wire:
        wire.sendall(head + body())
        wire.shutdown(socket.SHUT_WR)
        assert wire.recv(65536) == b""

    assert Trigger.objects.count() == 0


def test_a_framing_that_is_none_is_refused(server: Server) -> None:
    for framing in ("Content-Length: x", "Content-Length: -5", "Transfer-Encoding: gzip"):
        answer = server.ask(server.head(f"Content-Type: {JSON}", framing), body())
        assert (framing, answer.status_code in (400, 501)) == (framing, True)
    assert Trigger.objects.count() == 0


def test_a_slow_body_is_waited_for_and_keeps_nobody_else_waiting(server: Server) -> None:
    slow_head = server.head(f"Content-Type: {JSON}", f"Content-Length: {len(body())}")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as slow:
        slow.sendall(slow_head + body()[:5])
        started = monotonic()
        for _ in range(20):
            assert server.ask(server.head(target="GET /healthz")).status_code == 200
        assert monotonic() - started < PATIENCE_SECONDS / 2

        slow.sendall(body()[5:])
        assert read(slow).status_code == 202


def test_many_slow_clients_keep_nobody_else_waiting(server: Server) -> None:
    """More of them than waitress has threads, and than it takes connections by default."""
    slow_head = server.head(f"Content-Type: {JSON}", f"Content-Length: {len(body())}")
    with ExitStack() as clients:
        for number in range(120):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS))
            slow.sendall(slow_head[: number + 1] if number % 2 else slow_head + body()[:5])

        assert server.ask(server.head(target="GET /healthz")).status_code == 200
        assert server.ask(server.head(target="GET /api/v1/me/")).status_code == 200

        slow.sendall(slow_head[120:] + body())
        assert read(slow).status_code == 202


def test_slow_heads_keep_nobody_waiting_with_granian(tmp_path: Path) -> None:
    """A slow body does there, once its head is read: operations.md asks for a proxy that reads requests whole."""
    port = free_port()
    options = ("--interface", "wsgi", "--no-ws", "--workers", "1", "--blocking-threads", "2", "--port", str(port))
    with Processes(tmp_path, os.environ) as processes, ExitStack() as clients:
        processes.start("web", str(BIN / "granian"), *options, "notifyflow.wsgi:application")
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), seconds=60, what="granian answers")
        for _ in range(20):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS))
            slow.sendall(b"POST /api/v1/triggers/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")

        assert answers(f"http://127.0.0.1:{port}/healthz")


def test_a_charset_changes_nothing(server: Server) -> None:
    data = body(context={"name": "Größe"})
    for charset in ("hex", "undefined", "idna", "utf-16", "rot13", "nothing", '"; a=b', "x" * 50):
        content_type = f"Content-Type: {JSON}; charset={charset}"
        asked = server.ask(server.head(content_type, f"Content-Length: {len(data)}"), data)
        found = server.ask(server.head(content_type, target="GET /api/v1/triggers/?idempotency_key=%6B"))
        assert (charset, asked.status_code in (200, 202)) == (charset, True)
        assert "Idempotent-Payload-Differs" not in asked.headers
        assert [trigger["context"] for trigger in json.loads(found.content)["results"]] == [{"name": "Größe"}]


def test_too_many_parameters_with_a_charset_are_refused(server: Server) -> None:
    query = "&".join(f"p{number}=1" for number in range(1001))

    answer = server.ask(server.head(f"Content-Type: {JSON}; charset=utf-8", target=f"GET /api/v1/triggers/?{query}"))

    assert (answer.status_code, errors_of(answer)) == (400, [(None, "parse_error")])
    assert details_of(answer) == ["The query has too many parameters."]


def test_odd_targets(server: Server) -> None:
    for target, status in {
        "GET /api/v1/workflows/%00/": 404,
        "GET /api/v1/workflows/%ff%fe/": 404,
        "GET /api/v1/workflows/../../etc/passwd": 404,
        "GET //evil.example/api/v1/": 404,
        "GET /api/v1/triggers/?workflow=%00": 400,
        "GET /api/v1/triggers/?workflow=%ff%C3": 200,
        "GET /api/v1/workflows/\xff/": 400,
        "BREW /api/v1/triggers/": 405,
    }.items():
        assert (target, server.ask(server.head(target=target)).status_code) == (target, status)


def test_a_request_id_is_never_sent_back_as_it_came_unless_it_is_sane(server: Server) -> None:
    for given in ("a\tb", "\xff", "<b>", "a, b", "a\r\nX-Request-Id: b"):
        answer = server.ask(server.head(f"X-Request-ID: {given}", target="GET /api/v1/me/"))
        assert (answer.status_code, len(answer.headers["X-Request-ID"])) == (200, 36)


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"A" * 300_000 + b"\r\n\r\n"])
def test_noise_leaves_the_server_standing(server: Server, noise: bytes) -> None:
    said = b""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as wire, suppress(OSError):
        # It may hang up before all was sent.
        wire.sendall(noise)
        wire.shutdown(socket.SHUT_WR)
        said = wire.recv(65536)

    assert b" 500 " not in said
    assert server.ask(server.head(target="GET /healthz")).status_code == 200
