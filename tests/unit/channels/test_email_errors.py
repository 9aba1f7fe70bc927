"""What SMTP servers and email services say, sorted by table."""

import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailRequestsAPIError,
    AnymailUnsupportedFeature,
)
from anymail.message import AnymailRecipientStatus, AnymailStatus

from channels.contract import SendError
from channels.email_errors import sort_connection_error, sort_message_error, sort_service_status

Refusal = Callable[[int], Exception]


def sort(error: Exception, *, is_in_doubt: bool = False) -> SendError:
    return sort_message_error(error, provider="smtp", is_in_doubt=is_in_doubt, secrets=["hush-hush"])


def mail_refused(code: int) -> Exception:
    return smtplib.SMTPSenderRefused(code, b"said the server", "us@x.org")


def rcpt_refused(code: int) -> Exception:
    return smtplib.SMTPRecipientsRefused({"ann@x.org": (code, b"said the server")})


def data_refused(code: int) -> Exception:
    return smtplib.SMTPDataError(code, b"said the server")


@pytest.mark.parametrize(
    ("refused", "code", "is_transient", "word"),
    [
        (mail_refused, 421, True, "deferred"),
        (mail_refused, 451, True, "deferred"),
        (mail_refused, 452, True, "deferred"),
        (mail_refused, 530, True, "authentication_failed"),
        (mail_refused, 550, False, "sender_refused"),
        (mail_refused, 552, False, "message_too_large"),
        (rcpt_refused, 450, True, "deferred"),
        (rcpt_refused, 451, True, "deferred"),
        (rcpt_refused, 550, False, "recipient_refused"),
        (rcpt_refused, 553, False, "recipient_refused"),
        (rcpt_refused, 535, True, "authentication_failed"),
        (data_refused, 451, True, "deferred"),
        (data_refused, 554, False, "message_refused"),
        (data_refused, 552, False, "message_too_large"),
        (rcpt_refused, -1, True, "unreadable_answer"),
    ],
)
def test_answer_about_a_message(refused: Refusal, code: int, is_transient: bool, word: str) -> None:
    error = sort(refused(code))

    assert (error.is_transient, error.code) == (is_transient, word)
    assert error.is_in_doubt is False


def test_servers_words_are_quoted_with_their_code() -> None:
    error = sort(rcpt_refused(550))

    assert (error.message, error.status_code) == ("550 said the server", 550)


def test_gibberish_after_the_body_leaves_doubt() -> None:
    assert sort(data_refused(-1)).is_in_doubt


def broken(error: Exception, context: Exception | None = None) -> Exception:
    error.__context__ = context
    return error


CONNECTION_FAILURES: list[tuple[Exception, str]] = [
    (TimeoutError("timed out"), "timeout"),
    (broken(smtplib.SMTPServerDisconnected("closed"), TimeoutError()), "timeout"),
    (smtplib.SMTPServerDisconnected("closed"), "disconnected"),
    (ConnectionRefusedError(111, "Connection refused"), "connection_failed"),
    (ConnectionResetError(104, "Connection reset by peer"), "connection_failed"),
    (socket.gaierror(-2, "Name or service not known"), "connection_failed"),
    (ssl.SSLCertVerificationError("certificate has expired"), "tls_failed"),
    (smtplib.SMTPNotSupportedError("no STARTTLS"), "misconfigured"),
]


@pytest.mark.parametrize(("failure", "word"), CONNECTION_FAILURES)
def test_connection_that_cannot_be_made_may_pass(failure: Exception, word: str) -> None:
    error = sort_connection_error(failure, provider="smtp")

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, word, False)


@pytest.mark.parametrize(("failure", "word"), CONNECTION_FAILURES)
@pytest.mark.parametrize("is_in_doubt", [True, False])
def test_connection_that_breaks_may_pass(failure: Exception, word: str, is_in_doubt: bool) -> None:
    error = sort(failure, is_in_doubt=is_in_doubt)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, word, is_in_doubt)


@pytest.mark.parametrize(
    ("failure", "word", "status_code"),
    [
        (smtplib.SMTPConnectError(554, b"no service here"), "connection_refused", 554),
        (smtplib.SMTPHeloError(501, b"who are you"), "connection_refused", 501),
        (smtplib.SMTPAuthenticationError(535, b"bad password for ann"), "authentication_failed", 535),
    ],
)
def test_refusal_before_the_message_is_never_the_messages_fault(
    failure: Exception, word: str, status_code: int
) -> None:
    error = sort_connection_error(failure, provider="smtp")

    assert (error.is_transient, error.code, error.status_code) == (True, word, status_code)


def test_answer_to_the_password_is_not_quoted() -> None:
    failure = smtplib.SMTPAuthenticationError(535, b"bad password hush-hush")

    assert "hush" not in str(sort_connection_error(failure, provider="smtp"))
    assert "hush" not in str(sort(smtplib.SMTPSenderRefused(535, b"hush-hush", "us@x.org")))


def service_answer(status_code: int, text: str = "no", **headers: str) -> AnymailRequestsAPIError:
    response = requests.Response()
    response.status_code = status_code
    response._content = text.encode()
    response.headers.update(headers)
    return AnymailRequestsAPIError(response=response)


@pytest.mark.parametrize(
    ("failure", "is_transient", "word"),
    [
        (service_answer(400), False, "rejected"),
        (service_answer(401), True, "authentication_failed"),
        (service_answer(422), False, "rejected"),
        (service_answer(429), True, "rate_limited"),
        (service_answer(503), True, "provider_error"),
        (AnymailAPIError("lost"), True, "connection_failed"),
        (AnymailRecipientsRefused(), False, "recipient_refused"),
        (AnymailInvalidAddress("bad"), False, "invalid_address"),
        (AnymailUnsupportedFeature("tracking"), False, "unsupported"),
    ],
)
def test_email_service_is_sorted_too(failure: Exception, is_transient: bool, word: str) -> None:
    error = sort(failure)

    assert (error.is_transient, error.code) == (is_transient, word)


@pytest.mark.parametrize(
    ("word", "status_code", "expected"),
    [
        ("sent", 200, None),
        ("queued", 200, None),
        ("unknown", 200, None),
        ("failed", 200, "provider_error"),
        ("unknown", 422, "rejected"),
    ],
)
def test_status_without_an_error_is_looked_at(word: str, status_code: int, expected: str | None) -> None:
    status = AnymailStatus()
    status.set_recipient_status({"ann@x.org": AnymailRecipientStatus(message_id=None, status=word)})
    status.esp_response = requests.Response()
    status.esp_response.status_code = status_code

    error = sort_service_status(status, provider="postmark")

    assert (error and error.code) == expected


def test_email_services_pause_is_passed_on() -> None:
    assert sort(service_answer(429, **{"Retry-After": "11"})).retry_after == timedelta(seconds=11)


def test_accepted_but_unreadable_answer_leaves_doubt() -> None:
    error = sort(service_answer(200, "<html>"))

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "unreadable_answer", True)


def test_email_services_words_come_without_our_key() -> None:
    assert sort(service_answer(400, "key hush-hush is odd")).message == "HTTP 400: key *** is odd"


def test_text_that_makes_no_email_is_permanent() -> None:
    error = sort(ValueError("Header values can't contain newlines"))

    assert (error.is_transient, error.code) == (False, "invalid_message")
