"""An SMTP server on a loopback port that keeps what it receives and misbehaves on request.

    with FakeSmtp() as server:
        server.reply("RCPT", "451 4.7.1 Greylisted")   # the next RCPT only
        ...
        assert server.mails[0].message["Subject"] == "Hello"

As a process: python -m tests.fakes.smtp --port 2525 --log mails.jsonl
"""

import argparse
import asyncio
import signal
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.fakes.jsonl import JsonLines
from tests.fakes.script import Drop, Hang, Script

# CONNECT is the greeting, DATA the command, BODY the moment after the last line of a message, and ACCEPTED the one
# between keeping the mail and saying so.
Stage = Literal["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "BODY", "ACCEPTED", "RSET", "NOOP", "QUIT"]
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail the server answered for with 250."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    def text(self, kind: Literal["plain", "html"] = "plain") -> str | None:
        """Answer the text of the plain or the HTML part, or None when there is no such part."""
        part = self.message.get_body((kind,))
        return None if part is None else str(part.get_content()).replace("\r\n", "\n")


class FakeSmtp:
    """Run the server in a thread of its own between `start` and `stop`."""

    def __init__(
        self,
        *,
        port: int = 0,
        log: Path | None = None,
        login: tuple[str, str] | None = None,
        idle_seconds: float = 300,
        takes_pipelines: bool = True,
    ) -> None:
        """Take a port (0: any free one), a log file, the one accepted login, and when to leave the idle.

        Clients are told whether they may send several commands at once (RFC 2920), as most servers let them.
        """
        self.port = port
        self.login = login
        self.idle_seconds = idle_seconds
        self.takes_pipelines = takes_pipelines
        self.mails: list[ReceivedMail] = []
        self.connections = 0  # how many were ever accepted
        self.commands: list[str] = []
        self._script: Script[str | Drop | Hang] = Script()
        self._log = JsonLines(log) if log else None
        self._live: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-smtp", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Hang up on everybody and end the thread."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if self._log:
            self._log.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._live)

    def reply(self, stage: Stage, line: str) -> None:
        """Answer the next visit to the stage with this line."""
        self._script.add(stage, line)

    def drop(self, stage: Stage) -> None:
        """Cut the connection at the next visit to the stage."""
        self._script.add(stage, Drop())

    def hang(self, stage: Stage, seconds: float) -> None:
        """Wait at the next visit to the stage, then go on as usual."""
        self._script.add(stage, Hang(seconds))

    def drop_connections(self) -> None:
        """Cut every open connection now, as a server does with the idle."""
        asyncio.run_coroutine_threadsafe(self._drop_all(), self._loop).result(10)

    async def act(self, stage: Stage, connection: "_Connection") -> str | None:
        """Do what the script says for this visit; answer the line to send instead of the usual one."""
        self.commands.append(stage)
        act = self._script.take(stage)
        if isinstance(act, Hang):
            await asyncio.sleep(act.seconds)
            return None
        if isinstance(act, Drop):
            connection.cut()
            # The protocol ends its own coroutine once the transport is gone; nothing more is to be answered.
            await asyncio.sleep(3600)
        return act if isinstance(act, str) else None

    def receive(self, envelope: Envelope) -> None:
        """Keep one accepted mail and log it."""
        content = envelope.original_content or b""
        message = message_from_bytes(content, _class=EmailMessage, policy=policy.default)
        mail = ReceivedMail(str(envelope.mail_from), tuple(envelope.rcpt_tos), message)
        self.mails.append(mail)
        if self._log:
            self._log.append(
                {
                    "message_id": message["Message-ID"],
                    "to": mail.recipients[0],
                    "from": mail.sender,
                    "subject": message["Subject"],
                    "body": mail.text() or mail.text("html"),
                    "at": datetime.now(UTC).isoformat(),
                }
            )

    def joined(self, connection: "_Connection") -> None:
        """Count a new client."""
        self.connections += 1
        self._live.add(connection)

    def left(self, connection: "_Connection") -> None:
        """Forget a client."""
        self._live.discard(connection)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: _Connection(self), HOST, self.port, backlog=1024)

    async def _drop_all(self) -> None:
        for connection in list(self._live):
            connection.cut()

    async def _hang_up(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._drop_all()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # closed transports tell their protocols on the next turn of the loop


class _Handler:
    """Answer aiosmtpd's questions about commands by the script."""

    def __init__(self, server: FakeSmtp) -> None:
        self._server = server

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd looks the hooks up by these names
        self, server: "_Connection", session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [responses[0], "250-PIPELINING", *responses[1:]] if self._server.takes_pipelines else responses

    async def handle_MAIL(  # noqa: N802
        self, server: "_Connection", session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        line = await self._server.act("MAIL", server)
        if line:
            return line
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: "_Connection", session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        line = await self._server.act("RCPT", server)
        if line:
            return line
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: "_Connection", session: Session, envelope: Envelope) -> str:  # noqa: N802
        line = await self._server.act("BODY", server)
        if line:
            return line
        self._server.receive(envelope)
        return await self._server.act("ACCEPTED", server) or "250 2.0.0 OK: queued"

    async def handle_RSET(self, server: "_Connection", session: Session, envelope: Envelope) -> str:  # noqa: N802
        return await self._server.act("RSET", server) or "250 2.0.0 OK"

    async def handle_NOOP(  # noqa: N802
        self, server: "_Connection", session: Session, envelope: Envelope, arg: str
    ) -> str:
        return await self._server.act("NOOP", server) or "250 2.0.0 OK"

    async def handle_QUIT(self, server: "_Connection", session: Session, envelope: Envelope) -> str:  # noqa: N802
        return await self._server.act("QUIT", server) or "221 2.0.0 Bye"


class _Connection(SMTP):
    """One client; adds the stages that aiosmtpd has no hook for."""

    def __init__(self, server: FakeSmtp) -> None:
        super().__init__(
            _Handler(server),
            hostname="fake.smtp",
            timeout=server.idle_seconds,
            loop=asyncio.get_running_loop(),
            enable_SMTPUTF8=False,
            auth_require_tls=False,
            authenticator=self._check_login if server.login else None,
        )
        self._fake = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._fake.joined(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fake.left(self)
        super().connection_lost(error)

    def cut(self) -> None:
        """Close the connection at once."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def push(self, status: Any) -> None:
        is_greeting = isinstance(status, str) and status.startswith("220 ")
        line = await self._fake.act("CONNECT", self) if is_greeting else None
        await super().push(line or status)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        line = await self._fake.act("EHLO", self)
        await (self.push(line) if line else super().smtp_EHLO(hostname))

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        line = await self._fake.act("AUTH", self)
        await (self.push(line) if line else super().smtp_AUTH(arg))

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        line = await self._fake.act("DATA", self)
        await (self.push(line) if line else super().smtp_DATA(arg))

    def _check_login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._fake.login, handled=False)


def main() -> None:
    """Serve until SIGTERM or SIGINT; the first line on stdout is the port."""
    options = argparse.ArgumentParser(description="a fake SMTP server")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--log", type=Path)
    arguments = options.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with FakeSmtp(port=arguments.port, log=arguments.log) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
