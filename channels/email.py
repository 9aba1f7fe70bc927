"""The email channel: one message through whatever backend EMAIL_URL names."""

import re
import smtplib
from collections.abc import Iterable
from contextlib import suppress
from email.errors import MessageError

from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from channels import smtp
from channels.contract import OutgoingMessage, PermanentSendError, Receipt, SendError, Session, TemplateField
from channels.email_addresses import InvalidAddressError, Mailbox, parse_mailbox
from channels.email_errors import DEFERRED, sort_connection_error, sort_message_error, sort_service_status
from channels.letters import Letter
from channels.misconfigured import MisconfiguredSession
from channels.texts import may_break_line, require_sendable

_OURS_INSTEAD = {"django.core.mail.backends.smtp.EmailBackend": "channels.smtp.EmailBackend"}
_PROVIDER_NAMES = {"dummy": "null"}
_SECRET_NAMES = re.compile("KEY|TOKEN|SECRET|PASSWORD")


class EmailChannel:
    """Send email nodes."""

    node_type = "email"
    fields: tuple[TemplateField, ...] = (
        TemplateField("to", is_required=False, default="{{ recipient.email }}"),
        TemplateField("subject"),
        TemplateField("body", is_required=False),
        TemplateField("html_body", is_required=False, is_html=True),
    )
    required_any: tuple[frozenset[str], ...] = (frozenset({"body", "html_body"}),)

    @property
    def provider(self) -> str:
        """Name the backend's module: `smtp`, `outbox`, `postmark`, ...; Django's dummy is `null`."""
        name = settings.EMAIL_BACKEND.split(".")[-2]
        return _PROVIDER_NAMES.get(name, name)

    @property
    def most_sessions(self) -> int:
        """Return EMAIL_CONNECTIONS."""
        return int(settings.EMAIL_CONNECTIONS)

    def open(self) -> Session:
        """Open a session; the connection is made by the first send."""
        backend = settings.EMAIL_BACKEND
        try:
            sender = parse_mailbox(settings.DEFAULT_FROM_EMAIL)
            connection = get_connection(
                _OURS_INSTEAD.get(backend, backend),
                timeout=settings.EMAIL_TIMEOUT or settings.PROVIDER_TIMEOUT_SECONDS,
            )
        except (ImproperlyConfigured, ImportError, ValueError) as error:
            reason = f"the email settings make no sense ({type(error).__name__}); run manage.py check"
            return MisconfiguredSession(provider=self.provider, reason=reason)
        return EmailSession(connection, provider=self.provider, sender=sender, secrets=configured_secrets())


class EmailSession:
    """Keep the connection of one Django email backend between sends."""

    def __init__(
        self, connection: BaseEmailBackend, *, provider: str, sender: Mailbox, secrets: Iterable[str] = ()
    ) -> None:
        self._connection = connection
        self._provider = provider
        self._sender = sender
        self._secrets = tuple(secrets)

    def send(self, message: OutgoingMessage) -> Receipt:
        """Compose and hand over one message; see channels.contract.Session."""
        email = compose(message, sender=self._sender, provider=self._provider)
        try:
            sent = self._hand_over(email)
        except (smtplib.SMTPException, AnymailError, OSError, MessageError, ValueError) as error:
            raise self._sort(error) from error
        if not sent:  # a receiver of anymail's pre_send signal may cancel a message
            raise PermanentSendError(provider=self._provider, code="canceled", message="the email backend sent nothing")
        status = getattr(email, "anymail_status", None)
        if status is not None and (refusal := sort_service_status(status, provider=self._provider)):
            raise refusal
        return Receipt(provider=self._provider, message_id=_message_id(email))

    def close(self) -> None:
        """Take leave of the server, whatever state the connection is in."""
        with suppress(smtplib.SMTPException, AnymailError, OSError):
            self._connection.close()

    def _hand_over(self, email: EmailMessage) -> int:
        try:
            return self._open_connection().send_messages([email])
        except smtp.StaleConnectionError:
            return self._open_connection().send_messages([email])

    def _open_connection(self) -> BaseEmailBackend:
        try:
            self._connection.open()
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            self._drop_connection()
            raise sort_connection_error(error, provider=self._provider) from error
        return self._connection

    def _sort(self, error: Exception) -> SendError:
        connection = self._connection
        sorted_error = sort_message_error(
            error,
            provider=self._provider,
            is_in_doubt=isinstance(connection, smtp.EmailBackend) and connection.is_in_doubt,
            secrets=self._secrets,
        )
        # After a clear answer the connection is good for the next message; smtplib has reset it.
        if sorted_error.is_transient and sorted_error.code != DEFERRED:
            self._drop_connection()
        return sorted_error

    def _drop_connection(self) -> None:
        if isinstance(self._connection, smtp.EmailBackend):
            self._connection.abandon()
        else:
            self.close()


def compose(message: OutgoingMessage, *, sender: Mailbox, provider: str) -> Letter:
    """Build the email: text, HTML or both, with a Message-ID that is the same for every attempt.

    Raises PermanentSendError when a field cannot be put into an email.
    """
    require_sendable(message.fields, provider=provider)
    subject = _one_line(message, "subject", provider=provider)
    recipient = _recipient(message, provider=provider)
    body, html_body = message.fields.get("body", ""), message.fields.get("html_body", "")
    if not body.strip() and not html_body.strip():
        raise PermanentSendError(provider=provider, code="empty_body", message="body and html_body rendered to nothing")
    return Letter(
        sender=sender,
        recipient=recipient,
        subject=subject,
        text=body if body.strip() else "",
        html=html_body if html_body.strip() else "",
        message_id=f"<{message.message_key}@{sender.domain}>",
    )


def configured_secrets() -> tuple[str, ...]:
    """List the credentials among the settings, so that no provider's answer can carry them into a log."""
    anymail = getattr(settings, "ANYMAIL", {})
    found = [value for name, value in anymail.items() if isinstance(value, str) and _SECRET_NAMES.search(name)]
    return tuple(secret for secret in (*found, settings.EMAIL_HOST_PASSWORD) if secret)


def _recipient(message: OutgoingMessage, *, provider: str) -> Mailbox:
    to = _one_line(message, "to", provider=provider)
    if not to:
        raise PermanentSendError(provider=provider, code="empty_recipient", message="to rendered to nothing")
    try:
        return parse_mailbox(to)
    except InvalidAddressError as error:
        raise PermanentSendError(provider=provider, code="invalid_address", message=str(error)) from error


def _one_line(message: OutgoingMessage, name: str, *, provider: str) -> str:
    text = message.fields.get(name, "").strip()
    if may_break_line(text):
        raise PermanentSendError(
            provider=provider,
            code="invalid_header",
            message=f"{name} has a line break or a control character, which no mail header may carry",
        )
    return text


def _message_id(email: EmailMessage) -> str:
    """Prefer the service's own id, by which it can be asked; SMTP knows only the header."""
    status = getattr(email, "anymail_status", None)
    found = getattr(status, "message_id", None)
    return found if isinstance(found, str) and found else email.extra_headers["Message-ID"]
