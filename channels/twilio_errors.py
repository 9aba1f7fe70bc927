"""What Twilio's answers say about a message; pure.

The numbers are explained at https://www.twilio.com/docs/api/errors/<number>. Twilio adds numbers and warns
not to rely on them alone, so one that is unknown here is sorted by its HTTP status.
"""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypedDict

from channels.contract import PermanentSendError, SendError, TransientSendError
from channels.http_errors import sort_status
from channels.texts import quote

PROVIDER = "twilio"
_PERMANENT = {
    21211: "invalid_number",  # the To number is not a valid phone number
    21265: "invalid_number",  # To is a short code
    21266: "invalid_number",  # To is the same as From
    21614: "invalid_number",  # To cannot receive SMS
    21635: "invalid_number",  # To is a landline
    21604: "empty_recipient",
    21602: "empty_body",
    21617: "body_too_long",
    21658: "body_too_long",  # a parameter, which for us is the body, is over its limit
    21610: "unsubscribed",  # the person answered STOP
    21608: "unverified_number",  # a trial account sends to verified numbers only
    21408: "unreachable_region",  # the account may not send to this country
    21612: "unreachable_number",  # no way from this sender to this number
    21401: "sender_refused",
    21601: "sender_refused",
    21606: "sender_refused",  # for this destination or account
    21659: "sender_refused",
    21661: "sender_refused",
    30003: "unreachable_number",  # handset unreachable
    30005: "unreachable_number",  # handset unknown
    30006: "unreachable_number",  # landline or unreachable carrier
}
_TRANSIENT = {
    10001: "account_suspended",
    20003: "authentication_failed",
    20005: "account_suspended",
    20403: "account_suspended",
    30002: "account_suspended",
    90010: "account_suspended",
    21611: "queue_full",  # more than ten hours of messages wait for this sender
    30001: "queue_full",
}
_DEAD_STATES = {"failed", "undelivered", "canceled"}


class _Facts(TypedDict):
    provider: str
    message: str
    status_code: int | None
    retry_after: timedelta | None


def sort_answer(status_code: int, payload: Mapping[str, Any], *, retry_after: str | None = None) -> SendError | None:
    """Sort an answer to a create call by Twilio's own number first and by HTTP status second.

    `payload` is the JSON object of the answer, empty when there was none; `retry_after` is the raw header.
    Returns None when Twilio took the message.
    """
    if HTTPStatus.OK <= status_code < HTTPStatus.MULTIPLE_CHOICES:
        return _sort_created(status_code, payload)
    number = payload.get("code")
    message = f"HTTP {status_code}, error {number}: {quote(payload.get('message') or 'no explanation')}"
    by_status = sort_status(status_code, provider=PROVIDER, message=message, retry_after=retry_after)
    return _sort_number(number, by_status) or by_status


def _sort_created(status_code: int, payload: Mapping[str, Any]) -> SendError | None:
    if not isinstance(payload.get("sid"), str):
        return TransientSendError(
            provider=PROVIDER,
            code="unreadable_answer",
            message=f"HTTP {status_code} without a message SID",
            status_code=status_code,
            is_in_doubt=True,
        )
    if payload.get("status") not in _DEAD_STATES:
        return None
    number = payload.get("error_code")
    message = f"created as {payload['status']}, error {number}: {quote(payload.get('error_message') or '')}"
    rejected = PermanentSendError(provider=PROVIDER, code="rejected", message=message, status_code=status_code)
    return _sort_number(number, rejected) or rejected


def _sort_number(number: object, by_status: SendError) -> SendError | None:
    if not isinstance(number, int):
        return None
    facts: _Facts = {
        "provider": PROVIDER,
        "message": by_status.message,
        "status_code": by_status.status_code,
        "retry_after": by_status.retry_after,
    }
    if number in _PERMANENT:
        return PermanentSendError(code=_PERMANENT[number], **facts)
    if number in _TRANSIENT:
        return TransientSendError(code=_TRANSIENT[number], **facts)
    return None
