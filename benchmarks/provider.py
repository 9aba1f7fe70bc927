"""A provider that takes its time: SMTP and Twilio's Messages resource, as fast to compute as Python allows.

`python -m benchmarks.provider --smtp-ms 100 --http-ms 100` prints one line, its two ports and then serves until it is
stopped; `GET /` answers what it has seen, as JSON. With `--fail-percent` it says "later" to so many, by the dice. It
checks nothing: tests/fakes/ has providers that do.
"""

import argparse
import asyncio
import json
import random
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass

HOST = "127.0.0.1"
CREATED = json.dumps({"sid": "SM" + "0" * 32, "status": "queued", "error_code": None}).encode()


@dataclass(slots=True)
class Seen:
    """What one protocol has seen."""

    messages: int = 0
    connections: int = 0
    most_connections: int = 0

    def joined(self) -> None:
        """Count a connection that is open now."""
        self.connections += 1
        self.most_connections = max(self.most_connections, self.connections)


class _Conversation(asyncio.Protocol):
    """One connection; each protocol says what to do with what has come in."""

    later = b""
    fail_share = 0.0

    def __init__(self, seen: Seen, seconds: float, everything: Callable[[], bytes]) -> None:
        self._seen, self._seconds, self._everything = seen, seconds, everything
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._seen.joined()

    def connection_lost(self, _: Exception | None) -> None:
        self._seen.connections -= 1

    def take(self, answer: bytes) -> None:
        """Take one message over: after the time that takes, it counts and is answered."""
        if self.fail_share and random.random() < self.fail_share:
            asyncio.get_running_loop().call_later(self._seconds, self.say, self.later)
        else:
            asyncio.get_running_loop().call_later(self._seconds, self._taken, answer)

    def say(self, answer: bytes) -> None:
        """Answer at once."""
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _taken(self, answer: bytes) -> None:
        self._seen.messages += 1
        self.say(answer)


class _Http(_Conversation):
    later = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        if head.startswith(b"GET"):
            self._buffer = b""
            self.say(_http_answer(b"200 OK", self._everything()))
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length:
            self._buffer = body[length:]
            self.take(_http_answer(b"201 Created", CREATED))


class _Smtp(_Conversation):
    later = b"451 4.3.0 try again later\r\n"
    _is_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(b"220 slow.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._is_body:
            if self._buffer.endswith(b"\r\n.\r\n"):
                self._buffer, self._is_body = b"", False
                self.take(b"250 2.0.0 queued\r\n")
            return
        while b"\r\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            self._command(line[:4].upper())

    def _command(self, verb: bytes) -> None:
        if verb == b"DATA":
            self._is_body = True
            self.say(b"354 go on\r\n")
        elif verb == b"EHLO":
            self.say(b"250-slow.example\r\n250 PIPELINING\r\n")
        elif verb == b"QUIT":
            self.say(b"221 bye\r\n")
            self._transport.close()
        else:
            self.say(b"250 ok\r\n")


def _http_answer(status: bytes, content: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
    return head + content


async def serve(*, smtp_seconds: float, http_seconds: float) -> None:
    """Listen on two free ports, print them as JSON, and serve."""
    seen = {"smtp": Seen(), "http": Seen()}

    def everything() -> bytes:
        return json.dumps({name: asdict(each) for name, each in seen.items()}).encode()

    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: _Smtp(seen["smtp"], smtp_seconds, everything), HOST, 0, backlog=2048)
    http = await loop.create_server(lambda: _Http(seen["http"], http_seconds, everything), HOST, 0, backlog=2048)
    ports = {"smtp": smtp.sockets[0].getsockname()[1], "http": http.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await asyncio.gather(smtp.serve_forever(), http.serve_forever())


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smtp-ms", type=float, default=100.0)
    parser.add_argument("--http-ms", type=float, default=100.0)
    parser.add_argument("--fail-percent", type=float, default=0.0)
    options = parser.parse_args()
    _Conversation.fail_share = options.fail_percent / 100
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    asyncio.run(serve(smtp_seconds=options.smtp_ms / 1000, http_seconds=options.http_ms / 1000))


if __name__ == "__main__":
    main()
