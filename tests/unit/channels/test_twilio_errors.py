"""Twilio's answers, sorted by table."""

from datetime import timedelta

import pytest

from channels.contract import SendError
from channels.twilio_errors import sort_answer


def sort(status_code: int, number: object = None, *, retry_after: str | None = None) -> SendError:
    payload = {"code": number, "message": "Twilio's words"} if number else {}
    error = sort_answer(status_code, payload, retry_after=retry_after)
    assert error is not None
    return error


@pytest.mark.parametrize(
    ("status_code", "number", "is_transient", "code"),
    [
        (400, 21211, False, "invalid_number"),
        (400, 21265, False, "invalid_number"),
        (400, 21614, False, "invalid_number"),
        (400, 21635, False, "invalid_number"),
        (400, 21604, False, "empty_recipient"),
        (400, 21602, False, "empty_body"),
        (400, 21617, False, "body_too_long"),
        (400, 21610, False, "unsubscribed"),
        (400, 21608, False, "unverified_number"),
        (403, 21408, False, "unreachable_region"),
        (400, 21612, False, "unreachable_number"),
        (400, 21606, False, "sender_refused"),
        (400, 21659, False, "sender_refused"),
        (400, 21611, True, "queue_full"),
        (429, 21611, True, "queue_full"),
        (401, 20003, True, "authentication_failed"),
        (403, 20403, True, "account_suspended"),
        (400, 20005, True, "account_suspended"),
        (429, 20429, True, "rate_limited"),
        (429, None, True, "rate_limited"),
        (400, 21999, False, "rejected"),
        (400, None, False, "rejected"),
        (404, 20404, False, "rejected"),
        (400, "21211", False, "rejected"),
        (400, [21211], False, "rejected"),
        (401, None, True, "authentication_failed"),
        (500, 20500, True, "provider_error"),
        (503, None, True, "provider_error"),
        (302, None, True, "provider_error"),
    ],
)
def test_refusal(status_code: int, number: object, is_transient: bool, code: str) -> None:
    error = sort(status_code, number)

    assert (error.is_transient, error.code, error.status_code) == (is_transient, code, status_code)
    assert error.provider == "twilio"


@pytest.mark.parametrize("number", [None, 20429, 21611])
def test_pause_that_twilio_asks_for_is_passed_on(number: int | None) -> None:
    assert sort(429, number, retry_after="9").retry_after == timedelta(seconds=9)


def test_twilios_number_and_words_are_in_the_message() -> None:
    assert sort(400, 21211).message == "HTTP 400, error 21211: Twilio's words"


def test_created_message_is_no_error() -> None:
    assert sort_answer(201, {"sid": "SM1", "status": "queued", "error_code": None}) is None


def test_created_answer_that_cannot_be_read_leaves_doubt() -> None:
    error = sort_answer(201, {})

    assert error is not None
    assert (error.code, error.is_transient, error.is_in_doubt) == ("unreadable_answer", True, True)


@pytest.mark.parametrize(
    ("number", "is_transient", "code"),
    [(30003, False, "unreachable_number"), (30001, True, "queue_full"), (None, False, "rejected")],
)
def test_message_that_was_created_dead_is_an_error(number: int | None, is_transient: bool, code: str) -> None:
    error = sort_answer(201, {"sid": "SM1", "status": "failed", "error_code": number})

    assert error is not None
    assert (error.is_transient, error.code) == (is_transient, code)
