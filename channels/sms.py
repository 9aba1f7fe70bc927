"""The SMS channel: the same checks for every provider, then the provider that SMS_PROVIDER names."""

from collections.abc import Callable
from typing import Protocol

from django.conf import settings

from channels.contract import OutgoingMessage, PermanentSendError, Receipt, Session, TemplateField
from channels.misconfigured import MisconfiguredSession
from channels.outbox import OutboxCarrier
from channels.phone_numbers import InvalidNumberError, to_e164
from channels.texts import require_sendable
from channels.twilio_carrier import TwilioCarrier

# Twilio's limit for one message (its error 21617), which it counts in UTF-16 units.
LONGEST_BODY = 1600


class Carrier(Protocol):
    """Take a checked SMS to one provider."""

    provider: str

    def carry(self, *, message_key: str, to: str, body: str) -> str:
        """Hand over one SMS and answer the provider's id for it. Raises SendError's subclasses only."""

    def close(self) -> None:
        """Let the connection go. Never raises for provider trouble."""


class NullCarrier:
    """Take every SMS nowhere, for measurements."""

    provider = "null"

    def carry(self, *, message_key: str, to: str, body: str) -> str:
        """Answer the message key as id."""
        return message_key

    def close(self) -> None:
        """Do nothing."""


def _outbox() -> Carrier:
    return OutboxCarrier(sender=settings.TWILIO_FROM or "notifyflow")


def _twilio() -> Carrier:
    return TwilioCarrier(
        account_sid=settings.TWILIO_ACCOUNT_SID,
        auth_token=settings.TWILIO_AUTH_TOKEN,
        sender=settings.TWILIO_FROM,
        api_base=settings.TWILIO_API_BASE,
        timeout_seconds=settings.PROVIDER_TIMEOUT_SECONDS,
    )


PROVIDERS: dict[str, Callable[[], Carrier]] = {
    "null": NullCarrier,
    "outbox": _outbox,
    "twilio": _twilio,
}


class SmsChannel:
    """Send SMS nodes."""

    node_type = "sms"
    fields: tuple[TemplateField, ...] = (
        TemplateField("to", is_required=False, default="{{ recipient.phone }}"),
        TemplateField("body"),
    )
    required_any: tuple[frozenset[str], ...] = ()

    @property
    def provider(self) -> str:
        """Name the configured provider."""
        return str(settings.SMS_PROVIDER)

    @property
    def most_sessions(self) -> int:
        """Return SMS_CONNECTIONS."""
        return int(settings.SMS_CONNECTIONS)

    def open(self) -> Session:
        """Open a session; the connection is made by the first send."""
        try:
            carrier = PROVIDERS[self.provider]()
        except (KeyError, ValueError) as error:
            reason = f"the SMS settings make no sense ({error}); run manage.py check"
            return MisconfiguredSession(provider=self.provider, reason=reason)
        return SmsSession(carrier, region=settings.DEFAULT_PHONE_REGION)


class SmsSession:
    """Check each message and hand it to one carrier."""

    def __init__(self, carrier: Carrier, *, region: str = "") -> None:
        self._carrier = carrier
        self._region = region

    def send(self, message: OutgoingMessage) -> Receipt:
        """Check and hand over one message; see channels.contract.Session."""
        provider = self._carrier.provider
        require_sendable(message.fields, provider=provider)
        to = _recipient(message, region=self._region, provider=provider)
        body = _body(message, provider=provider)
        message_id = self._carrier.carry(message_key=message.message_key, to=to, body=body)
        return Receipt(provider=provider, message_id=message_id)

    def close(self) -> None:
        """Let the carrier's connection go."""
        self._carrier.close()


def _recipient(message: OutgoingMessage, *, region: str, provider: str) -> str:
    to = message.fields.get("to", "").strip()
    if not to:
        raise PermanentSendError(provider=provider, code="empty_recipient", message="to rendered to nothing")
    try:
        return to_e164(to, region=region)
    except InvalidNumberError as error:
        raise PermanentSendError(provider=provider, code="invalid_number", message=str(error)) from error


def _body(message: OutgoingMessage, *, provider: str) -> str:
    body = message.fields.get("body", "")
    if not body.strip():
        raise PermanentSendError(provider=provider, code="empty_body", message="body rendered to nothing")
    length = len(body.encode("utf-16-le")) // 2
    if length > LONGEST_BODY:
        raise PermanentSendError(
            provider=provider,
            code="body_too_long",
            message=f"the text has {length} characters; an SMS takes at most {LONGEST_BODY}",
        )
    return body
