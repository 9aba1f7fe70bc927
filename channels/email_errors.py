"""What the words of SMTP servers and email services say about a message (docs/guides/channels.md)."""

import smtplib
import ssl
from collections.abc import Iterable
from http import HTTPStatus

from anymail.exceptions import (
    AnymailAPIError,
    AnymailError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
)
from anymail.message import AnymailStatus

from channels.contract import PermanentSendError, SendError, TransientSendError
from channels.http_errors import sort_request_error, sort_status
from channels.texts import quote

DEFERRED = "deferred"
# RFC 5321, 4.2.1: what the first digit of an answer says.
_TRANSIENT_DIGIT, _PERMANENT_DIGIT = 4, 5
# RFC 4954, 6: what a server says about the client's credentials, whatever command it answers.
_CREDENTIAL_CODES = {432, 454, 530, 534, 535, 538}
_TOO_LARGE = 552
_REFUSALS = {
    smtplib.SMTPSenderRefused: "sender_refused",
    smtplib.SMTPRecipientsRefused: "recipient_refused",
    smtplib.SMTPDataError: "message_refused",
}
# The first class that fits names the failure of a connection.
_CONNECTION_CODES: tuple[tuple[type[Exception], str], ...] = (
    (smtplib.SMTPAuthenticationError, "authentication_failed"),
    (ssl.SSLError, "tls_failed"),
    (TimeoutError, "timeout"),
    (smtplib.SMTPServerDisconnected, "disconnected"),
    (smtplib.SMTPNotSupportedError, "misconfigured"),
    (UnicodeError, "misconfigured"),
    (smtplib.SMTPResponseException, "connection_refused"),
)


def sort_connection_error(error: Exception, *, provider: str) -> TransientSendError:
    """Sort a failure before the message was mentioned: it says nothing about the message, so it may pass."""
    return TransientSendError(
        provider=provider,
        code=_connection_code(error),
        message=f"no connection to {provider} ({_describe(error)})",
        status_code=error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None,
    )


def sort_message_error(error: Exception, *, provider: str, is_in_doubt: bool, secrets: Iterable[str] = ()) -> SendError:
    """Sort what came of handing over one message.

    `is_in_doubt` says whether the body was under way when the connection broke; `secrets` are never quoted.
    """
    if isinstance(error, AnymailError):
        return _sort_anymail(error, provider=provider, secrets=secrets)
    if isinstance(error, (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)):
        return _sort_answer(error, provider=provider)
    if isinstance(error, (smtplib.SMTPException, OSError)):
        return TransientSendError(
            provider=provider,
            code=_connection_code(error),
            message=f"{provider} broke off ({_describe(error)})",
            is_in_doubt=is_in_doubt,
        )
    return PermanentSendError(provider=provider, code="invalid_message", message=f"this is no email ({quote(error)})")


def sort_service_status(status: AnymailStatus, *, provider: str) -> SendError | None:
    """Sort what an email service said of the one recipient without an error; None when it took the message.

    Anymail raises for recipients that are refused, not for sends that failed or that it learned nothing about.
    """
    if status.status == {"failed"}:
        return TransientSendError(
            provider=provider, code="provider_error", message=f"{provider} failed to send", is_in_doubt=True
        )
    answered = getattr(status.esp_response, "status_code", HTTPStatus.OK)
    if status.status == {"unknown"} and answered >= HTTPStatus.BAD_REQUEST:
        return sort_status(answered, provider=provider, message=f"HTTP {answered}: nothing said of the recipient")
    return None


def _sort_answer(error: smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused, *, provider: str) -> SendError:
    status_code, words = _answer(error)
    message = f"{status_code} {quote(words)}"
    if status_code in _CREDENTIAL_CODES:
        message = f"{provider} does not accept the credentials ({status_code})"
        return TransientSendError(
            provider=provider, code="authentication_failed", message=message, status_code=status_code
        )
    if status_code // 100 == _PERMANENT_DIGIT:
        code = "message_too_large" if status_code == _TOO_LARGE else _REFUSALS.get(type(error), "rejected")
        return PermanentSendError(provider=provider, code=code, message=message, status_code=status_code)
    if status_code // 100 == _TRANSIENT_DIGIT:
        return TransientSendError(provider=provider, code=DEFERRED, message=message, status_code=status_code)
    return TransientSendError(
        provider=provider,
        code="unreadable_answer",
        message=message,
        is_in_doubt=isinstance(error, smtplib.SMTPDataError),
    )


def _answer(error: smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused) -> tuple[int, str]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _readable(*next(iter(error.recipients.values())))
    return _readable(error.smtp_code, error.smtp_error)


def _readable(status_code: int, words: bytes | str) -> tuple[int, str]:
    return status_code, words.decode("utf-8", errors="replace") if isinstance(words, bytes) else words


def _connection_code(error: Exception) -> str:
    # smtplib turns a time-out while it reads into a disconnect, and keeps the time-out as the context.
    if isinstance(error.__context__, TimeoutError):
        return "timeout"
    return next((code for cause, code in _CONNECTION_CODES if isinstance(error, cause)), "connection_failed")


def _describe(error: Exception) -> str:
    name = type(error).__name__
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{name} {error.smtp_code}"  # the words of the answer may repeat the user's name
    if isinstance(error, smtplib.SMTPResponseException):
        return "{} {}".format(*_answer(error))
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return name


def _sort_anymail(error: AnymailError, *, provider: str, secrets: Iterable[str]) -> SendError:
    if isinstance(error, AnymailRecipientsRefused):
        return PermanentSendError(
            provider=provider, code="recipient_refused", message=f"{provider} refused the recipient"
        )
    if isinstance(error, AnymailInvalidAddress):
        return PermanentSendError(
            provider=provider, code="invalid_address", message=f"{provider} cannot be given this address"
        )
    if not isinstance(error, AnymailAPIError):
        words = quote(error.args[0] if error.args else "", secrets=secrets)
        return PermanentSendError(
            provider=provider, code="unsupported", message=f"{provider} cannot carry this message: {words}"
        )
    if error.status_code is None:
        return sort_request_error(error.__cause__, provider=provider)
    return _sort_service_answer(error, provider=provider, secrets=secrets)


def _sort_service_answer(error: AnymailAPIError, *, provider: str, secrets: Iterable[str]) -> SendError:
    if HTTPStatus.OK <= error.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return TransientSendError(
            provider=provider,
            code="unreadable_answer",
            message=f"{provider} answered {error.status_code} with a body that cannot be read",
            status_code=error.status_code,
            is_in_doubt=True,
        )
    return sort_status(
        error.status_code,
        provider=provider,
        message=f"HTTP {error.status_code}: {quote(error.response.text, secrets=secrets)}",
        retry_after=error.response.headers.get("Retry-After"),
    )
