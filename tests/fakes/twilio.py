"""Twilio's Messages resource on a loopback port, real enough for the official client.

    with FakeTwilio() as twilio:
        twilio.refuse(21211)                     # the next request only
        twilio.answer(500)
        ...
        assert twilio.messages[0].to == "+491701234567"

As a process: python -m tests.fakes.twilio --port 9999 --log sms.jsonl
"""

import argparse
import base64
import re
import signal
import sys
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs

from tests.fakes.http import Answer, FakeHttp, Request
from tests.fakes.jsonl import JsonLines

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "fake-auth-token"
_CREATE = re.compile(r"/2010-04-01/Accounts/(?P<sid>[^/]+)/Messages\.json")
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_WORDS = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    21211: "The 'To' number is not a valid phone number.",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number.",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21610: "Attempt to send to unsubscribed recipient",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    21617: "The concatenated message body exceeds the 1600 character limit",
}


@dataclass(frozen=True, slots=True)
class SentMessage:
    """One message that was created."""

    sid: str
    to: str
    sender: str
    body: str


class FakeTwilio(FakeHttp):
    """Create messages for one account. With `login` as None every account and token is good."""

    def __init__(
        self,
        *,
        port: int = 0,
        log: Path | None = None,
        login: tuple[str, str] | None = (ACCOUNT_SID, AUTH_TOKEN),
    ) -> None:
        super().__init__(self._route, port=port)
        self.messages: list[SentMessage] = []
        self._login = login
        self._log = JsonLines(log) if log else None

    def stop(self) -> None:
        """Close the port, every connection and the log."""
        super().stop()
        if self._log:
            self._log.close()

    def refuse(self, code: int, *, status: int = 400, **headers: str) -> None:
        """Answer the next request with one of Twilio's errors."""
        self.answer(status, error_payload(code, status), **headers)

    def _route(self, request: Request) -> Answer:
        found = _CREATE.fullmatch(request.path)
        if found is None:
            return _refusal(20404, 404)
        if self._login is not None and (
            found["sid"] != self._login[0] or _credentials(request) != ":".join(self._login)
        ):
            return _refusal(20003, 401)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        return self._create(found["sid"], form)

    def _create(self, account_sid: str, form: dict[str, str]) -> Answer:
        sender = form.get("From") or form.get("MessagingServiceSid")
        to, body = form.get("To"), form.get("Body")
        if not to:
            return _refusal(21604, 400)
        if not sender:
            return _refusal(21603, 400)
        if not body:
            return _refusal(21602, 400)
        if len(body) > 1600:
            return _refusal(21617, 400)
        if not _E164.fullmatch(to):
            return _refusal(21211, 400)
        message = SentMessage(sid=f"SM{uuid.uuid4().hex}", to=to, sender=sender, body=body)
        self._keep(message)
        return Answer(201, _created_payload(message, account_sid, service_sid=form.get("MessagingServiceSid")))

    def _keep(self, message: SentMessage) -> None:
        self.messages.append(message)
        if self._log:
            self._log.append(
                {
                    "message_id": message.sid,
                    "to": message.to,
                    "from": message.sender,
                    "body": message.body,
                    "at": datetime.now(UTC).isoformat(),
                }
            )


def error_payload(code: int, status: int) -> dict[str, object]:
    """Write an error the way Twilio's 2010 API does."""
    return {
        "code": code,
        "message": _WORDS.get(code, f"Error {code}"),
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def _refusal(code: int, status: int) -> Answer:
    return Answer(status, error_payload(code, status))


def _credentials(request: Request) -> str:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    return base64.b64decode(encoded).decode() if scheme == "Basic" else ""


def _created_payload(message: SentMessage, account_sid: str, *, service_sid: str | None) -> dict[str, object]:
    now = format_datetime(datetime.now(UTC))
    uri = f"/2010-04-01/Accounts/{account_sid}/Messages/{message.sid}"
    return {
        "account_sid": account_sid,
        "api_version": "2010-04-01",
        "body": message.body,
        "date_created": now,
        "date_sent": None,
        "date_updated": now,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": None if service_sid else message.sender,
        "messaging_service_sid": service_sid,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": message.sid,
        "status": "accepted" if service_sid else "queued",
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.to,
        "uri": f"{uri}.json",
    }


def main() -> None:
    """Serve any account until SIGTERM or SIGINT; the first line on stdout is the port."""
    options = argparse.ArgumentParser(description="a fake of Twilio's Messages resource")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--log", type=Path)
    arguments = options.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with FakeTwilio(port=arguments.port, log=arguments.log, login=None) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        ended.wait()


if __name__ == "__main__":
    main()
