"""Which recipients an SMS node may name."""

import pytest

from channels.phone_numbers import InvalidNumberError, to_e164


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("+491701234567", "", "+491701234567"),
        (" +49 (170) 123-45.67 ", "", "+491701234567"),
        ("+1 415 555 0100", "", "+14155550100"),
        ("+15005550006", "", "+15005550006"),
        ("0170 1234567", "DE", "+491701234567"),
        ("+1 415 555 0100", "DE", "+14155550100"),
        ("\uff0b49 170 1234567", "", "+491701234567"),
    ],
)
def test_number_is_spelled_as_e164(text: str, region: str, number: str) -> None:
    assert to_e164(text, region=region) == number


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("", ""),
        ("0170 1234567", ""),
        ("0170 1234567", "XX"),
        ("ann@x.org", ""),
        ("+", ""),
        ("+999 123456", ""),
        ("+49 1", ""),
        ("+1 415 555 01001", ""),
        ("+1 415 555 0100 ext. 7", ""),
        ("+1 415 555 0100, +1 415 555 0101", ""),
        ("call +14155550100", ""),
        ("tel:+14155550100", ""),
        ("1-800-FLOWERS", "US"),
        ("+" + "1" * 1000, ""),
    ],
)
def test_anything_else_is_refused(text: str, region: str) -> None:
    with pytest.raises(InvalidNumberError):
        to_e164(text, region=region)
