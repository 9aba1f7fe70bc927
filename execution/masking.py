"""Whom a message was for, told without telling it: enough to recognise, too little to use. Pure."""

import re

MASK = "***"
LONGEST_DOMAIN = 200
# With fewer digits, what is shown would be a good part of the number.
FEWEST_DIGITS = 7
# What is left of a number says enough for a search in a text: its country may be written differently there.
TELLING_DIGITS = 7
SHORTEST_TELLING = 4

_DOMAIN = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+")
_NUMBER = re.compile(r"[+\N{FULLWIDTH PLUS SIGN}]?[\d\s().\-/]+")
_EMAIL = re.compile(r"[^\s<>()\[\],;:\"'@]{1,64}(?:@[^\s<>()\[\],;:\"'@]{1,255})+")
_INTERNATIONAL = re.compile(r"\+\d(?:[\s().\-/]{0,3}\d){6,14}")


def masked(destination: str) -> str:
    """Return what may be shown of a destination: `a***@example.org`, `+1*******71`, of anything else nothing.

    The mask of a number has the same length whatever the number's. An empty destination stays empty.
    """
    text = destination.strip()
    if not text:
        return ""
    if "@" in text:
        return _masked_email(text)
    digits = _digits(text)
    if _NUMBER.fullmatch(text) and len(digits) >= FEWEST_DIGITS:
        plus = "" if text[0].isdigit() or text[0] == "(" else "+"
        return f"{plus}{digits[0]}{'*' * 7}{digits[-2:]}"
    return MASK


def without_destination(text: str, destination: str = "") -> str:
    """Return the text with every address and number in it masked, and with `destination` however it is written."""
    told = destination.strip()
    digits = _digits(told)
    if "@" not in told and len(digits) >= TELLING_DIGITS:
        tail = r"[\s().\-/]{0,3}".join(digits[-TELLING_DIGITS:])
        text = re.sub(rf"\+?(?:\d[\s().\-/]{{0,3}}){{0,8}}{tail}", masked(told), text)
    elif len(told) >= SHORTEST_TELLING:
        text = re.sub(re.escape(told), masked(told), text, flags=re.IGNORECASE)
    text = _EMAIL.sub(lambda found: masked(found[0]), text)
    return _INTERNATIONAL.sub(lambda found: masked(found[0]), text)


def _masked_email(text: str) -> str:
    local_part, _, domain = text.rpartition("@")
    # `Ann <ann@example.org>`
    local_part = local_part.rpartition("<")[2].strip().strip('"')
    domain = domain.partition(">")[0].strip()
    if not local_part or len(domain) > LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain):
        return MASK
    # The one letter of `a@example.org` would be all of it.
    first = local_part[0] if len(local_part) > 1 and local_part[0].isalnum() else ""
    return f"{first}{MASK}@{domain}"


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())
