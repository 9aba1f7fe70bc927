"""The fakes, held against the clients they are made for, and as processes of their own."""

import json
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio

ROOT = Path(__file__).resolve().parents[3]
MAIL = b"Message-ID: <1@x.org>\r\nSubject: hi\r\n\r\nhello\r\n"


class TowardsFake(TwilioHttpClient):  # type: ignore[misc]  # the client is untyped
    """Twilio's own transport with another host, and nothing of ours."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=5)
        self.base = base

    def request(self, method: str, url: str, *args: object, **kwargs: object) -> object:
        return super().request(method, url.replace("https://api.twilio.com", self.base), *args, **kwargs)


@contextmanager
def twilio_client(base: str, token: str = AUTH_TOKEN) -> Iterator[Client]:
    transport = TowardsFake(base)
    yield Client(ACCOUNT_SID, token, http_client=transport)
    transport.session.close()


@contextmanager
def process(module: str, log: Path) -> Iterator[int]:
    """Run a fake as a process; give its port."""
    command = [sys.executable, "-m", module, "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield int(running.stdout.readline())
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(10) == 0


def test_smtplib_meets_a_well_behaved_server(smtp_server: FakeSmtp) -> None:
    with smtplib.SMTP("127.0.0.1", smtp_server.port, timeout=5) as client:
        assert client.noop()[0] == 250
        assert client.sendmail("us@x.org", ["ann@x.org"], MAIL) == {}
        assert client.rset()[0] == 250

    [mail] = smtp_server.mails
    assert (mail.sender, mail.recipients, mail.text()) == ("us@x.org", ("ann@x.org",), "hello\n")


def test_smtplib_meets_what_the_script_says_once(smtp_server: FakeSmtp) -> None:
    with smtplib.SMTP("127.0.0.1", smtp_server.port, timeout=5) as client:
        smtp_server.reply("RCPT", "451 4.7.1 Greylisted")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("us@x.org", ["ann@x.org"], MAIL)
        client.sendmail("us@x.org", ["ann@x.org"], MAIL)

    assert len(smtp_server.mails) == 1


def test_smtplib_logs_in() -> None:
    with FakeSmtp(login=("ann", "right")) as server, smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("ann", "wrong")
        assert client.login("ann", "right")[0] == 235


def test_smtp_server_leaves_the_idle(smtp_server: FakeSmtp) -> None:
    with FakeSmtp(idle_seconds=0.2) as server:
        client = smtplib.SMTP("127.0.0.1", server.port, timeout=5)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.getreply()

        assert server.open_connections == 0


def test_smtp_server_bears_hundreds_of_connections(smtp_server: FakeSmtp) -> None:
    clients = [smtplib.SMTP("127.0.0.1", smtp_server.port, timeout=10) for _ in range(200)]
    open_connections = smtp_server.open_connections
    for client in clients:
        client.sendmail("us@x.org", ["ann@x.org"], MAIL)
        client.close()

    assert (open_connections, len(smtp_server.mails)) == (200, 200)


def test_twilios_client_meets_a_well_behaved_twilio(twilio: FakeTwilio) -> None:
    with twilio_client(twilio.url) as client:
        message = client.messages.create(to="+491701234567", from_="+14155550100", body="hi")

    assert (message.sid, message.status, message.to) == (twilio.messages[0].sid, "queued", "+491701234567")
    assert message.date_created is not None


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"to": "12", "from_": "+14155550100", "body": "hi"}, 21211),
        ({"to": "+491701234567", "body": "hi"}, 21603),
        ({"to": "+491701234567", "from_": "+14155550100", "body": ""}, 21602),
        ({"to": "+491701234567", "from_": "+14155550100", "body": "x" * 1601}, 21617),
    ],
)
def test_twilios_client_understands_the_fakes_refusals(twilio: FakeTwilio, fields: dict[str, str], number: int) -> None:
    with twilio_client(twilio.url) as client, pytest.raises(TwilioRestException) as refused:
        client.messages.create(**fields)

    assert (refused.value.status, refused.value.code) == (400, number)


def test_twilios_client_is_refused_with_a_wrong_token(twilio: FakeTwilio) -> None:
    with twilio_client(twilio.url, token="wrong") as client, pytest.raises(TwilioRestException) as refused:
        client.messages.create(to="+491701234567", from_="+14155550100", body="hi")

    assert (refused.value.status, refused.value.code) == (401, 20003)


def test_twilio_bears_many_clients_at_once(twilio: FakeTwilio) -> None:
    def send(number: int) -> None:
        with twilio_client(twilio.url) as client:
            client.messages.create(to=f"+4917012345{number:02}", from_="+14155550100", body="hi")

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(send, range(100)))

    assert len({message.to for message in twilio.messages}) == 100


def test_smtp_process_logs_each_mail(tmp_path: Path) -> None:
    log = tmp_path / "mails.jsonl"
    with process("tests.fakes.smtp", log) as port, smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.sendmail("us@x.org", ["ann@x.org"], MAIL)
        [line] = log.read_text().splitlines()

    record = json.loads(line)
    assert record.pop("at")
    assert record == {
        "message_id": "<1@x.org>",
        "to": "ann@x.org",
        "from": "us@x.org",
        "subject": "hi",
        "body": "hello\n",
    }


def test_twilio_process_logs_each_message(tmp_path: Path) -> None:
    log = tmp_path / "sms.jsonl"
    with process("tests.fakes.twilio", log) as port, twilio_client(f"http://127.0.0.1:{port}", "any") as client:
        sid = client.messages.create(to="+491701234567", from_="+14155550100", body="hi").sid
        [line] = log.read_text().splitlines()

    record = json.loads(line)
    assert record.pop("at")
    assert record == {"message_id": sid, "to": "+491701234567", "from": "+14155550100", "body": "hi"}
