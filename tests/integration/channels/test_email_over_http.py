"""Email through a service's HTTP API, with anymail's Postmark backend standing for all of them."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django import Settings

from channels.contract import Receipt, SendError, Session
from channels.registry import channel_for
from tests.fakes.http import Answer, FakeHttp, Request
from tests.fakes.messages import MESSAGE_KEY, email_message

TOKEN = "hush-hush-token"
ACCEPTED = {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "SubmittedAt": "", "To": "ann@example.org"}


def accept(request: Request) -> Answer:
    return Answer(200, ACCEPTED)


@pytest.fixture
def service(settings: Settings) -> Iterator[FakeHttp]:
    """Run a Postmark that accepts everything."""
    with FakeHttp(accept) as server:
        settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
        settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": TOKEN, "POSTMARK_API_URL": f"{server.url}/"}
        yield server


@pytest.fixture
def session(service: FakeHttp) -> Iterator[Session]:
    """Open a session on the service."""
    opened = channel_for("email").open()
    yield opened
    opened.close()


def failure(session: Session) -> SendError:
    with pytest.raises(SendError) as failed:
        session.send(email_message())
    return failed.value


def test_service_gets_the_message_and_names_it(service: FakeHttp, session: Session) -> None:
    receipt = session.send(email_message(html_body="<p>hi</p>"))

    sent = json.loads(service.requests[0].body)
    assert receipt == Receipt(provider="postmark", message_id="pm-1")
    assert (sent["To"], sent["Subject"], sent["HtmlBody"]) == ("ann@example.org", "Order 17", "<p>hi</p>")
    assert sent["Headers"] == [{"Name": "Message-ID", "Value": f"<{MESSAGE_KEY}@example.org>"}]


def test_one_session_is_one_connection(service: FakeHttp, session: Session) -> None:
    for _ in range(3):
        session.send(email_message())

    assert (len(service.requests), service.connections) == (3, 1)


def test_too_many_requests_come_with_their_pause(service: FakeHttp, session: Session) -> None:
    service.answer(429, {"Message": "slow down"}, Retry_After="17")

    error = failure(session)

    assert (error.is_transient, error.code, error.status_code) == (True, "rate_limited", 429)
    assert error.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize(
    ("status_code", "is_transient", "code"),
    [
        (401, True, "authentication_failed"),
        (422, False, "rejected"),
        (500, True, "provider_error"),
        (503, True, "provider_error"),
    ],
)
def test_refusal_leaves_the_session_to_the_next(
    service: FakeHttp, session: Session, status_code: int, is_transient: bool, code: str
) -> None:
    service.answer(status_code, {"ErrorCode": 300, "Message": f"the token {TOKEN} is odd"})

    error = failure(session)
    session.send(email_message())

    assert (error.is_transient, error.code, error.status_code) == (is_transient, code, status_code)
    assert TOKEN not in str(error)


def test_refused_recipient_is_permanent(service: FakeHttp, session: Session) -> None:
    words = "Found inactive addresses: ann@example.org.\n Inactive recipients have generated a hard bounce."
    service.answer(422, {"ErrorCode": 406, "Message": words})

    error = failure(session)

    assert (error.is_transient, error.code) == (False, "recipient_refused")


def test_refusal_that_names_nobody_is_no_receipt(service: FakeHttp, session: Session) -> None:
    service.answer(422, {"ErrorCode": 406, "Message": "Other words than anymail knows"})

    error = failure(session)

    assert (error.is_transient, error.code, error.status_code) == (False, "rejected", 422)


def test_silent_service_is_left_after_the_time_limit_in_doubt(service: FakeHttp, session: Session) -> None:
    service.hang(2)

    error = failure(session)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "timeout", True)


def test_broken_connection_leaves_doubt(service: FakeHttp, session: Session) -> None:
    service.drop()

    error = failure(session)
    session.send(email_message())

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "connection_failed", True)


def test_nobody_listening_leaves_no_doubt(service: FakeHttp, session: Session) -> None:
    service.stop()

    error = failure(session)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "connection_failed", False)


def test_acceptance_that_cannot_be_read_leaves_doubt(service: FakeHttp, session: Session) -> None:
    service.answer(200, b"<html>")

    error = failure(session)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "unreadable_answer", True)
