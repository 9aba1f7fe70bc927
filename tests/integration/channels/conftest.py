"""Servers to send to, and sessions opened the way the engine opens them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from channels.contract import Session
from channels.registry import channel_for
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio

OpenSession = Callable[[], Session]


@pytest.fixture(autouse=True)
def channel_settings(settings: Settings, tmp_path: Path) -> None:
    """Start every test from the same settings; nothing may wait for long."""
    settings.DEFAULT_FROM_EMAIL = "NotifyFlow <notify@example.org>"
    settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 0.5
    settings.OUTBOX_DIR = tmp_path / "outbox"
    settings.DEFAULT_PHONE_REGION = ""


@pytest.fixture(params=[False, True], ids=["one command at a time", "pipelined"])
def smtp_server(request: pytest.FixtureRequest) -> Iterator[FakeSmtp]:
    """Run an SMTP server, of either kind."""
    with FakeSmtp(takes_pipelines=request.param) as server:
        yield server


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    """Run a Twilio."""
    with FakeTwilio() as server:
        yield server


@pytest.fixture
def open_email(settings: Settings, smtp_server: FakeSmtp) -> Iterator[OpenSession]:
    """Open sessions of the email channel on the SMTP server; they are closed at the end."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", smtp_server.port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    yield from _opener("email")


@pytest.fixture
def open_sms(settings: Settings, twilio: FakeTwilio) -> Iterator[OpenSession]:
    """Open sessions of the SMS channel on the fake Twilio; they are closed at the end."""
    settings.SMS_PROVIDER = "twilio"
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT_SID, AUTH_TOKEN
    settings.TWILIO_FROM = "+14155550100"
    settings.TWILIO_API_BASE = twilio.url
    yield from _opener("sms")


def _opener(node_type: str) -> Iterator[OpenSession]:
    sessions: list[Session] = []

    def open_session() -> Session:
        sessions.append(channel_for(node_type).open())
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()
