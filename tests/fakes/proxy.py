"""A TCP proxy in front of a real server, which can refuse, cut and go silent as networks and servers do."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
SSL_REQUEST = 80877103
# How PostgreSQL says that it is being started.
STARTING = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"


class Proxy:
    """Passes bytes on between its port and `target`, unless told otherwise; it does so in a thread of its own."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._live: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._is_starting = False
        self._lose_answer_to: bytes | None = None

    def __enter__(self) -> Self:
        # Bound and never listening: it keeps the port ours while connections are refused.
        self._anchor = _bound(0)
        self.port = self._anchor.getsockname()[1]
        self._flowing.set()
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._anchor.close()

    def listen(self) -> None:
        """Take connections (again)."""
        self._run(self._listen())

    def refuse(self) -> None:
        """Cut every connection and take no new one."""
        self._run(self._refuse())

    def cut(self) -> None:
        """Cut every connection now; new ones are taken."""
        self._run(self._cut())

    def silence(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def speak(self) -> None:
        """Pass on what was held back and what comes."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Cut what is open, and refuse whoever comes."""
        self.refuse()
        try:
            yield
        finally:
            self.listen()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Cut what is open, and say to whoever comes what PostgreSQL says while it starts."""
        self._is_starting = True
        self.cut()
        try:
            yield
        finally:
            self._is_starting = False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Take connections and bytes, and pass nothing on; what was open then is cut at the end."""
        self.silence()
        try:
            yield
        finally:
            self.cut()
            self.speak()

    def lose_answer_to(self, words: bytes) -> None:
        """Pass on the next request that holds these words, and cut the connection when the server answers."""
        self._lose_answer_to = words

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=_bound(self.port))

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for writer in list(self._live):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._refuse()
        # What was taken at the last moment gets its turn to begin, and so can be cut too.
        await asyncio.sleep(0)
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # What was cut is closed in the loop's next turn.
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._live.add(writer)
        try:
            # Whoever asked hears of it from the connection, which ends here.
            with suppress(OSError, asyncio.IncompleteReadError):
                await (_say_starting(reader, writer) if self._is_starting else self._forward(reader, writer))
        finally:
            writer.transport.abort()
            self._live.discard(writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asking = await asyncio.open_connection(*self._target)
        self._live.add(asking)
        try:
            is_answer_lost = asyncio.Event()
            await asyncio.gather(
                self._pass_requests(reader, asking, is_answer_lost), self._pass_answers(answers, writer, is_answer_lost)
            )
        finally:
            asking.transport.abort()
            self._live.discard(asking)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer_lost: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._lose_answer_to is not None and self._lose_answer_to in data:
                    self._lose_answer_to = None
                    is_answer_lost.set()
                await self._write(writer, data)
        writer.close()

    async def _pass_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer_lost: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while (data := await reader.read(65536)) and not is_answer_lost.is_set():
                await self._write(writer, data)
        writer.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        await self._flowing.wait()
        writer.write(data)
        await writer.drain()


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((HOST, port))
    return found


async def _say_starting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size, code = struct.unpack("!ii", await reader.readexactly(8))
    if code == SSL_REQUEST:
        writer.write(b"N")
        (size,) = struct.unpack("!i", await reader.readexactly(4))
        await reader.readexactly(size - 4)
    else:
        await reader.readexactly(size - 8)
    writer.write(b"E" + struct.pack("!i", len(STARTING) + 4) + STARTING)
    await writer.drain()
