"""The embedded profile's provider: files that are whole or not there."""

import json
import threading
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from django.core.mail import send_mail
from pytest_django import Settings

from channels import outbox
from channels.contract import Receipt, TransientSendError
from channels.registry import channel_for
from tests.fakes.messages import MESSAGE_KEY, email_message, sms_message


@pytest.fixture(autouse=True)
def outbox_settings(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "channels.outbox.EmailBackend"
    settings.SMS_PROVIDER = "outbox"
    settings.TWILIO_FROM = ""


def test_email_becomes_a_file_named_by_its_key(settings: Settings) -> None:
    receipt = channel_for("email").open().send(email_message(body="Grüße", html_body="<p>Grüße</p>"))

    content = (settings.OUTBOX_DIR / f"{MESSAGE_KEY}.eml").read_bytes()
    email = message_from_bytes(content, policy=policy.default)
    assert receipt == Receipt(provider="outbox", message_id=email["Message-ID"])
    assert (email["To"], email["Subject"]) == ("ann@example.org", "Order 17")
    assert [part.get_content() for part in email.iter_parts()] == ["Grüße", "<p>Grüße</p>"]


def test_sms_becomes_a_file_named_by_its_key(settings: Settings) -> None:
    receipt = channel_for("sms").open().send(sms_message(body="Grüße"))

    content = (settings.OUTBOX_DIR / f"{MESSAGE_KEY}.sms.json").read_text()
    assert receipt == Receipt(provider="outbox", message_id=MESSAGE_KEY)
    assert json.loads(content) == {
        "to": "+491701234567",
        "from": "notifyflow",
        "body": "Grüße",
        "message_id": MESSAGE_KEY,
    }


def test_second_attempt_replaces_the_file(settings: Settings) -> None:
    session = channel_for("sms").open()

    session.send(sms_message(body="first"))
    session.send(sms_message(body="second"))

    [file] = settings.OUTBOX_DIR.iterdir()
    assert json.loads(file.read_text())["body"] == "second"


def test_djangos_own_mail_is_written_too(settings: Settings) -> None:
    send_mail("Password reset", "Follow the link", None, ["ann@example.org"])

    assert [file.suffix for file in settings.OUTBOX_DIR.iterdir()] == [".eml"]


def test_reader_never_sees_half_a_file(settings: Settings) -> None:
    body = "x" * 200_000
    is_done = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not is_done.is_set():
            seen.update(len(file.read_bytes()) for file in settings.OUTBOX_DIR.glob("*.txt"))

    outbox.write_whole("a.txt", body.encode())
    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        outbox.write_whole("a.txt", body.encode())
    is_done.set()
    reader.join()

    assert seen == {len(body)}
    assert [file.name for file in settings.OUTBOX_DIR.iterdir()] == ["a.txt"]


def test_name_cannot_leave_the_folder(settings: Settings, tmp_path: Path) -> None:
    outbox.write_whole("../../.escaped.eml", b"x")

    assert [file.parent for file in tmp_path.rglob("*escaped*")] == [settings.OUTBOX_DIR]


def test_folder_that_cannot_be_written_may_pass(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.OUTBOX_DIR = tmp_path / "file"

    with pytest.raises(TransientSendError) as failed:
        channel_for("email").open().send(email_message())

    assert failed.value.code == "outbox_unwritable"
