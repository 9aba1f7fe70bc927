"""System checks of the channels' settings: what would fail every message is said before the first one."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection

from channels.email_addresses import InvalidAddressError, parse_mailbox
from channels.sms import PROVIDERS

_TWILIO_SETTINGS = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM")


def check_channels(
    app_configs: Sequence[AppConfig] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Check senders, providers, credentials, time limits and connections."""
    return [*_check_sms(), *_check_email(), *_check_timeout(), *_check_connections()]


def _check_sms() -> Iterator[CheckMessage]:
    provider = settings.SMS_PROVIDER
    if provider not in PROVIDERS:
        yield Error(
            f"SMS_PROVIDER is {provider!r}, which is unknown.",
            hint=f"Use one of: {', '.join(sorted(PROVIDERS))}.",
            id="channels.E001",
        )
    if provider != "twilio":
        return
    if missing := [name for name in _TWILIO_SETTINGS if not getattr(settings, name)]:
        yield Error(
            f"SMS_PROVIDER is twilio and {', '.join(missing)} is not set.",
            hint="Set it, or set SMS_PROVIDER to outbox.",
            id="channels.E002",
        )
    base = urlsplit(settings.TWILIO_API_BASE)
    if settings.TWILIO_API_BASE and (base.scheme not in {"http", "https"} or not base.hostname):
        yield Error(
            "TWILIO_API_BASE is not a URL.",
            hint="Write https://host, http://host:port, or leave it empty for Twilio itself.",
            id="channels.E003",
        )


def _check_email() -> Iterator[CheckMessage]:
    try:
        parse_mailbox(settings.DEFAULT_FROM_EMAIL)
    except InvalidAddressError as error:
        yield Error(
            f"DEFAULT_FROM_EMAIL cannot be used: {error}.",
            hint="Write name@example.org or Name <name@example.org>.",
            id="channels.E004",
        )
    try:
        get_connection()
    except (ImproperlyConfigured, ImportError, ValueError) as error:
        yield Error(
            f"The email backend cannot be set up: {error}",
            hint="Check EMAIL_URL and the ANYMAIL_* variables.",
            id="channels.E005",
        )


def _check_timeout() -> Iterator[CheckMessage]:
    for name in ("PROVIDER_TIMEOUT_SECONDS", "EMAIL_TIMEOUT"):
        seconds = getattr(settings, name)
        if seconds is not None and not seconds > 0:
            yield Error(
                f"{name} is {seconds}; no provider may be waited for without a limit.",
                hint="Set it to a number of seconds above 0, such as 10.",
                id="channels.E006",
            )


def _check_connections() -> Iterator[CheckMessage]:
    for name in ("EMAIL_CONNECTIONS", "SMS_CONNECTIONS"):
        connections = getattr(settings, name)
        if connections < 1:
            yield Error(
                f"{name} is {connections}; without a connection nothing is sent.",
                hint="Set it to 1 or more, or leave it out.",
                id="channels.E007",
            )
