"""Settings that make no sense: named by the system checks, and harmless to a worker that runs all the same."""

from pathlib import Path

import pytest
from pytest_django import Settings

from channels.checks import check_channels
from channels.contract import Receipt, TransientSendError
from channels.registry import channel_for
from tests.fakes.messages import MESSAGE_KEY, email_message, sms_message


@pytest.fixture(autouse=True)
def good_settings(settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "channels.outbox.EmailBackend"
    settings.OUTBOX_DIR = tmp_path
    settings.DEFAULT_FROM_EMAIL = "NotifyFlow <notify@example.org>"
    settings.EMAIL_TIMEOUT = settings.PROVIDER_TIMEOUT_SECONDS = 5.0
    settings.ANYMAIL = {}
    settings.SMS_PROVIDER = "twilio"
    settings.TWILIO_ACCOUNT_SID = "AC0"
    settings.TWILIO_AUTH_TOKEN = "hush"
    settings.TWILIO_FROM = "+14155550100"
    settings.TWILIO_API_BASE = ""
    settings.DEFAULT_PHONE_REGION = ""


def test_good_settings_raise_no_check() -> None:
    assert check_channels() == []


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("SMS_PROVIDER", "pigeon", "channels.E001"),
        ("TWILIO_ACCOUNT_SID", "", "channels.E002"),
        ("TWILIO_AUTH_TOKEN", "", "channels.E002"),
        ("TWILIO_FROM", "", "channels.E002"),
        ("TWILIO_API_BASE", "127.0.0.1:9999", "channels.E003"),
        ("DEFAULT_FROM_EMAIL", "webmaster", "channels.E004"),
        ("EMAIL_BACKEND", "anymail.backends.postmark.EmailBackend", "channels.E005"),
        ("EMAIL_BACKEND", "no.such.EmailBackend", "channels.E005"),
        ("PROVIDER_TIMEOUT_SECONDS", 0, "channels.E006"),
        ("EMAIL_TIMEOUT", -1, "channels.E006"),
        ("EMAIL_CONNECTIONS", 0, "channels.E007"),
        ("SMS_CONNECTIONS", 0, "channels.E007"),
    ],
)
def test_bad_setting_is_named(settings: Settings, name: str, value: object, check_id: str) -> None:
    setattr(settings, name, value)

    found = check_channels()

    assert [message.id for message in found] == [check_id]
    assert found[0].hint


def test_check_names_the_settings_that_are_missing_and_no_value(settings: Settings) -> None:
    settings.TWILIO_FROM = settings.TWILIO_ACCOUNT_SID = ""

    message = check_channels()[0].msg

    assert message == "SMS_PROVIDER is twilio and TWILIO_ACCOUNT_SID, TWILIO_FROM is not set."


@pytest.mark.parametrize(
    ("name", "value"),
    [("DEFAULT_FROM_EMAIL", "webmaster"), ("EMAIL_BACKEND", "anymail.backends.postmark.EmailBackend")],
)
def test_misconfigured_email_fails_message_by_message(settings: Settings, name: str, value: str) -> None:
    setattr(settings, name, value)
    session = channel_for("email").open()

    with pytest.raises(TransientSendError) as failed:
        session.send(email_message())
    session.close()

    assert failed.value.code == "misconfigured"


@pytest.mark.parametrize(("name", "value"), [("SMS_PROVIDER", "pigeon"), ("TWILIO_AUTH_TOKEN", "")])
def test_misconfigured_sms_fails_message_by_message(settings: Settings, name: str, value: str) -> None:
    setattr(settings, name, value)
    session = channel_for("sms").open()

    with pytest.raises(TransientSendError) as failed:
        session.send(sms_message())
    session.close()

    assert failed.value.code == "misconfigured"


@pytest.mark.parametrize(
    ("backend", "provider"),
    [
        ("django.core.mail.backends.smtp.EmailBackend", "smtp"),
        ("django.core.mail.backends.dummy.EmailBackend", "null"),
        ("channels.outbox.EmailBackend", "outbox"),
        ("anymail.backends.sendgrid.EmailBackend", "sendgrid"),
    ],
)
def test_email_provider_is_named_after_its_backend(settings: Settings, backend: str, provider: str) -> None:
    settings.EMAIL_BACKEND = backend

    assert channel_for("email").provider == provider


def test_null_providers_answer_with_the_message_key(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    settings.SMS_PROVIDER = "null"

    email = channel_for("email").open().send(email_message())
    sms = channel_for("sms").open().send(sms_message())

    assert email == Receipt(provider="null", message_id=f"<{MESSAGE_KEY}@example.org>")
    assert sms == Receipt(provider="null", message_id=MESSAGE_KEY)
