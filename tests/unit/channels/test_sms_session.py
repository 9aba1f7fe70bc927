"""What every SMS provider is spared: the checks before the call."""

import pytest

from channels.contract import PermanentSendError, Receipt
from channels.sms import LONGEST_BODY, SmsSession
from tests.fakes.messages import MESSAGE_KEY, sms_message


class RecordingCarrier:
    """Take SMS into a list."""

    provider = "recorder"

    def __init__(self) -> None:
        self.carried: list[tuple[str, str, str]] = []
        self.is_closed = False

    def carry(self, *, message_key: str, to: str, body: str) -> str:
        self.carried.append((message_key, to, body))
        return "id-1"

    def close(self) -> None:
        self.is_closed = True


def test_number_is_spelled_out_for_the_carrier() -> None:
    carrier = RecordingCarrier()

    receipt = SmsSession(carrier).send(sms_message(to=" +49 170 1234567 ", body="hi\n"))

    assert receipt == Receipt(provider="recorder", message_id="id-1")
    assert carrier.carried == [(MESSAGE_KEY, "+491701234567", "hi\n")]


def test_local_number_is_at_home_in_the_configured_region() -> None:
    carrier = RecordingCarrier()

    SmsSession(carrier, region="DE").send(sms_message(to="0170 1234567"))

    assert carrier.carried[0][1] == "+491701234567"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": ""}, "empty_recipient"),
        ({"to": "  "}, "empty_recipient"),
        ({"to": "0170 1234567"}, "invalid_number"),
        ({"to": "ann@x.org"}, "invalid_number"),
        ({"body": ""}, "empty_body"),
        ({"body": " \n"}, "empty_body"),
        ({"body": "x" * (LONGEST_BODY + 1)}, "body_too_long"),
        ({"body": "\U0001f600" * (LONGEST_BODY // 2 + 1)}, "body_too_long"),
        ({"body": "a\x00b"}, "invalid_text"),
        ({"body": "\ud800"}, "invalid_text"),
    ],
)
def test_what_is_no_sms_is_refused_before_the_call(fields: dict[str, str], code: str) -> None:
    carrier = RecordingCarrier()

    with pytest.raises(PermanentSendError) as refused:
        SmsSession(carrier).send(sms_message(**fields))

    assert (refused.value.code, refused.value.provider) == (code, "recorder")
    assert carrier.carried == []


def test_longest_body_passes() -> None:
    carrier = RecordingCarrier()

    SmsSession(carrier).send(sms_message(body="x" * LONGEST_BODY))

    assert len(carrier.carried) == 1


def test_closing_the_session_closes_the_carrier() -> None:
    carrier = RecordingCarrier()

    SmsSession(carrier).close()

    assert carrier.is_closed
