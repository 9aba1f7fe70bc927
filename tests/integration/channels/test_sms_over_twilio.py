"""SMS over real HTTP with Twilio's own client: what arrives, what each failure means, what it leaves to the next."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import certifi
import pytest
from pytest_django import Settings

from channels.contract import Receipt, SendError, Session
from channels.twilio_carrier import Connections
from tests.fakes.messages import sms_message
from tests.fakes.twilio import ACCOUNT_SID, FakeTwilio

OpenSession = Callable[[], Session]


def failure(session: Session, **fields: str) -> SendError:
    with pytest.raises(SendError) as failed:
        session.send(sms_message(**fields))
    return failed.value


def test_message_arrives_and_is_named_by_its_sid(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    receipt = open_sms().send(sms_message(to="+49 (170) 123 4567", body="Grüße \U0001f600 &=+"))

    [message] = twilio.messages
    assert (message.to, message.sender, message.body) == ("+491701234567", "+14155550100", "Grüße \U0001f600 &=+")
    assert receipt == Receipt(provider="twilio", message_id=message.sid)
    assert twilio.requests[0].path == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


def test_messaging_service_takes_the_senders_place(
    settings: Settings, open_sms: OpenSession, twilio: FakeTwilio
) -> None:
    settings.TWILIO_FROM = "MG" + "1" * 32

    open_sms().send(sms_message())

    form = parse_qs(twilio.requests[0].body.decode())
    assert form["MessagingServiceSid"] == [settings.TWILIO_FROM]
    assert "From" not in form


def test_one_session_is_one_connection(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    session = open_sms()

    for _ in range(5):
        session.send(sms_message())

    assert (len(twilio.messages), twilio.connections) == (5, 1)


def test_a_proxy_that_the_environment_names_is_used(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, open_sms: OpenSession, twilio: FakeTwilio
) -> None:
    monkeypatch.setenv("HTTP_PROXY", twilio.url)
    settings.TWILIO_API_BASE = "http://sms.invalid"

    assert failure(open_sms()).code == "rejected"  # the fake knows no such path
    assert [request.path.split("/2010")[0] for request in twilio.requests] == ["http://sms.invalid"]


def test_a_proxy_that_hangs_up_after_it_was_asked_leaves_doubt(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, open_sms: OpenSession, twilio: FakeTwilio
) -> None:
    monkeypatch.setenv("HTTP_PROXY", twilio.url)
    settings.TWILIO_API_BASE = "http://sms.invalid"
    twilio.drop_answer()

    error = failure(open_sms())

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "connection_failed", True)


def test_certificates_are_those_of_requests_unless_the_environment_names_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    pool: Any = Connections().reaching("https://api.twilio.com/2010-04-01", None)[0]
    assert (pool.ca_certs, pool.cert_reqs) == (certifi.where(), "CERT_REQUIRED")

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(OSError, match=r"missing\.pem"):
        Connections().reaching("https://api.twilio.com/2010-04-01", None)


def test_missing_certificates_are_the_operators_to_mend(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, open_sms: OpenSession, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    settings.TWILIO_API_BASE = "https://sms.invalid"

    error = failure(open_sms())

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "misconfigured", False)


def test_too_many_requests_come_with_their_pause(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    twilio.refuse(20429, status=429, Retry_After="13")

    error = failure(open_sms())

    assert (error.is_transient, error.code, error.status_code) == (True, "rate_limited", 429)
    assert error.retry_after == timedelta(seconds=13)
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(
    ("number", "status", "is_transient", "code"),
    [
        (21211, 400, False, "invalid_number"),
        (21610, 400, False, "unsubscribed"),
        (21408, 400, False, "unreachable_region"),
        (21611, 429, True, "queue_full"),
        (29999, 400, False, "rejected"),
        (20500, 500, True, "provider_error"),
    ],
)
def test_refusal_leaves_the_session_to_the_next(
    open_sms: OpenSession, twilio: FakeTwilio, *, number: int, status: int, is_transient: bool, code: str
) -> None:
    session = open_sms()
    twilio.refuse(number, status=status)

    error = failure(session)
    session.send(sms_message())

    assert (error.is_transient, error.code, error.status_code) == (is_transient, code, status)
    assert f"error {number}" in error.message
    assert (len(twilio.messages), len(twilio.requests), twilio.connections) == (1, 2, 1)


def test_answer_that_is_no_json_is_sorted_by_status(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    twilio.answer(502, b"<html>Bad gateway</html>")

    error = failure(open_sms())

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "provider_error", True)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"sid": null}'])
def test_acceptance_that_cannot_be_read_leaves_doubt(open_sms: OpenSession, twilio: FakeTwilio, body: bytes) -> None:
    twilio.answer(201, body)

    error = failure(open_sms())

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "unreadable_answer", True)


def test_redirect_is_not_followed_with_the_credentials(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    twilio.answer(307, {}, Location=f"{twilio.url}/elsewhere")

    error = failure(open_sms())

    assert (error.is_transient, error.status_code) == (True, 307)
    assert len(twilio.requests) == 1


def test_silent_twilio_is_left_after_the_time_limit_in_doubt(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    session = open_sms()
    twilio.hang(2)

    began = time.monotonic()
    error = failure(session)
    waited = time.monotonic() - began
    session.send(sms_message())

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "timeout", True)
    assert waited < 1.5


def test_lost_answer_leaves_doubt_and_is_not_sent_again_by_itself(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    session = open_sms()
    twilio.drop_answer()

    error = failure(session)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "connection_failed", True)
    assert (len(twilio.messages), len(twilio.requests)) == (1, 1)


def test_connection_closed_while_idle_costs_nothing(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    session = open_sms()
    session.send(sms_message())
    twilio.drop_connections()
    time.sleep(0.05)  # until the client's side has heard of it

    session.send(sms_message())

    assert (len(twilio.messages), twilio.connections) == (2, 2)


def test_nobody_listening_leaves_no_doubt(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    session = open_sms()
    twilio.stop()

    error = failure(session)

    assert (error.is_transient, error.code, error.is_in_doubt) == (True, "connection_failed", False)


def test_wrong_token_keeps_the_message_and_is_not_told(settings: Settings, open_sms: OpenSession) -> None:
    settings.TWILIO_AUTH_TOKEN = "hush-hush"

    error = failure(open_sms())

    assert (error.is_transient, error.code, error.status_code) == (True, "authentication_failed", 401)
    assert "hush" not in str(error)


def test_invalid_number_never_reaches_twilio(open_sms: OpenSession, twilio: FakeTwilio) -> None:
    error = failure(open_sms(), to="0170 1234567")

    assert (error.is_transient, error.code) == (False, "invalid_number")
    assert twilio.requests == []


def test_base_may_have_a_path_of_its_own(settings: Settings, open_sms: OpenSession, twilio: FakeTwilio) -> None:
    settings.TWILIO_API_BASE = f"{twilio.url}/gateway/"

    failure(open_sms())

    assert twilio.requests[0].path == f"/gateway/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
