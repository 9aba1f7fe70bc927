"""Which text is one phone number, and its E.164 spelling; pure."""

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

# phonenumbers itself picks a number out of any text ("call 5 or +1 650 ..."); a recipient is the whole text.
_SPELLING = re.compile(r"[+\N{FULLWIDTH PLUS SIGN}]?[\d\s().\-/]+")
_LONGEST_TEXT = 40


class InvalidNumberError(ValueError):
    """Say in a sentence why a text is not a phone number."""


def to_e164(text: str, *, region: str = "") -> str:
    """Spell a phone number as E.164: `+491701234567`.

    `region` (ISO 3166, "DE") is where a number without country code is at home; without one such a number
    is refused. Only the length is judged, not whether the number is assigned: numbering plans change faster
    than the library, and a number refused here for good would be a message lost.
    Raises InvalidNumberError.
    """
    stripped = text.strip()
    if len(stripped) > _LONGEST_TEXT or not _SPELLING.fullmatch(stripped):
        raise InvalidNumberError("this is not a phone number")
    try:
        number = phonenumbers.parse(stripped, region or None)
    except NumberParseException:
        raise InvalidNumberError("this is not a phone number with its country code, such as +49 170 1234567") from None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise InvalidNumberError("no phone number of this country has this length")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)
