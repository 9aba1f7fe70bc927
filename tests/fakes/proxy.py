"""A TCP proxy in front of a real server, which can refuse, cut and go silent as networks and servers do."""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

SSL_REQUEST = 80877103
# How PostgreSQL says that it is being started.
STARTING = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"


class Proxy:
    """Passes bytes on between its port and `target`, unless told otherwise."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._wires: list[socket.socket] = []
        self._lose_answer_to: bytes | None = None
        self._mode = "pass"
        self.refused = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.getsockname()[1])

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Cut what is open, and hang up on whoever comes."""
        with self._in_mode("refuse"):
            self.cut()
            yield

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Cut what is open, and say to whoever comes what PostgreSQL says while it starts."""
        with self._in_mode("start"):
            self.cut()
            yield

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Take connections and bytes, and pass nothing on; what was open then is cut at the end."""
        with self._in_mode("silent"):
            yield
        self.cut()

    def cut(self) -> None:
        """Cut every connection now."""
        for wire in self._wires:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        self._wires.clear()

    def lose_answer_to(self, words: bytes) -> None:
        """Pass on the next request that holds these words, and cut the connection when the server answers."""
        self._lose_answer_to = words

    @contextmanager
    def _in_mode(self, mode: str) -> Iterator[None]:
        self._mode = mode
        try:
            yield
        finally:
            self._mode = "pass"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            self._wires.append(client)
            if self._mode == "refuse":
                self.refused += 1
                return
            if self._mode == "start":
                _say_starting(client)
                return
            with suppress(OSError), socket.create_connection(self._target) as server:
                self._wires.append(server)
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        is_answer_lost = False
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for source in readable:
                if not (data := source.recv(65536)):
                    return
                if source is client and self._lose_answer_to is not None and self._lose_answer_to in data:
                    self._lose_answer_to, is_answer_lost = None, True
                elif source is server and is_answer_lost:
                    return
                if self._mode != "silent":
                    (server if source is client else client).sendall(data)


def _say_starting(client: socket.socket) -> None:
    size, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
    if code == SSL_REQUEST:
        client.sendall(b"N")
        (size,) = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))
        client.recv(size - 4, socket.MSG_WAITALL)
    else:
        client.recv(size - 8, socket.MSG_WAITALL)
    client.sendall(b"E" + struct.pack("!i", len(STARTING) + 4) + STARTING)
