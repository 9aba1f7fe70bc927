"""An HTTP server on a loopback port that records requests and misbehaves on demand; fakes build on it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.fakes.script import Drop, Hang, Script

HOST = "127.0.0.1"
_REQUEST = "request"
_ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a JSON object, or bytes as they are."""

    status: int
    payload: dict[str, Any] | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body as it goes over the wire."""
        return self.payload if isinstance(self.payload, bytes) else json.dumps(self.payload).encode()


class FakeHttp:
    """Serve every request by `respond` unless the script says otherwise."""

    def __init__(self, respond: Callable[[Request], Answer], *, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.connections = 0  # how many were ever accepted
        self._respond = respond
        self._script: Script[Answer | Drop | Hang] = Script()
        self._server = _Server((HOST, port), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address of the server, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Begin to answer; the port is bound since the object was made."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.shutdown()
        self._server.cut_connections()
        self._server.server_close()
        self._thread.join(10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, status: int, payload: dict[str, Any] | bytes = b"", **headers: str) -> None:
        """Give the next request this answer; `Retry_After="3"` is the header Retry-After."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._script.add(_REQUEST, Answer(status, payload, named))

    def hang(self, seconds: float) -> None:
        """Wait before the next request is looked at."""
        self._script.add(_REQUEST, Hang(seconds))

    def drop(self) -> None:
        """Close the connection of the next request, which is not carried out."""
        self._script.add(_REQUEST, Drop())

    def drop_answer(self) -> None:
        """Carry out the next request and close the connection instead of answering."""
        self._script.add(_ANSWER, Drop())

    def drop_connections(self) -> None:
        """Cut every open connection now, as a server does with the idle."""
        self._server.cut_connections()

    def serve(self, request: Request) -> Answer | None:
        """Record a request and answer it; None closes the connection."""
        self.requests.append(request)
        act = self._script.take(_REQUEST)
        if isinstance(act, Hang):
            time.sleep(act.seconds)
        elif isinstance(act, Drop):
            return None
        elif isinstance(act, Answer):
            return act
        answer = self._respond(request)
        return None if self._script.take(_ANSWER) else answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._live: set[socket.socket] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._live.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._live.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that has gone away is part of the game."""

    def cut_connections(self) -> None:
        with self._lock:
            live = list(self._live)
        for connection in live:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has gone by itself


def _handler_for(fake: FakeHttp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            fake.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = fake.serve(Request(self.command, self.path, dict(self.headers.items()), body))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST  # noqa: N815 -- the base class looks methods up by these names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
            """Keep quiet."""

    return Handler
