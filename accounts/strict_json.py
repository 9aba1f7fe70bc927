"""Strict JSON: what PostgreSQL, Python or a reader can't hold is refused, with the reason.

RFC 8259 in UTF-8, up to a depth; numbers must be finite, names distinct, text storable.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError

DEEPEST = 64
LONGEST_INTEGER = 1000
# The escapes of NUL, which PostgreSQL's text and jsonb can't hold, and of lone surrogates, which UTF-8 can't.
SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")
# A string that never ends counts up to the end; tried again from each quote in it, it would take quadratic time.
TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class BodyTooLarge(APIException):
    """413: the body is larger than the API reads."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes.")


def text_of(body: bytes, *, what: str = "body") -> str:
    """Return a body as text. Raises ParseError.

    From bytes json.loads would guess UTF-16, which the checks here overlook, and let half surrogates in.
    """
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ParseError(f"The {what} is not UTF-8.") from None


def value_of(text: str, *, what: str = "body") -> Any:
    """Return the one value that the text is. Raises ParseError."""
    check_depth(text, what=what)
    try:
        value = DECODER.decode(text)
    except ValueError as error:
        raise ParseError(f"The {what} is not JSON: {error}") from None
    if SUSPICIOUS.search(text):
        check_text(value)
    return value


def check_depth(text: str, *, what: str = "body") -> None:
    """Raise ParseError when brackets outside of strings nest too deep; Python's own limit ends in RecursionError."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for token in TOKENS.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > DEEPEST:
                raise ParseError(f"The {what} is nested deeper than {DEEPEST} levels.")
        elif first in "]}":
            depth -= 1


def check_text(value: object) -> None:
    """Raise ParseError for text that can't be stored, anywhere in a value."""
    if isinstance(value, str):
        if "\x00" in value:
            raise ParseError("Text can't hold the character NUL (\\u0000).")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ParseError("Text can't hold half of a surrogate pair (\\ud800 to \\udfff).") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            check_text(item)
    elif isinstance(value, list):
        for item in value:
            check_text(item)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _integer(text: str) -> int:
    if len(text) > LONGEST_INTEGER:
        raise ParseError(f"A number has more than {LONGEST_INTEGER} digits.")
    return int(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says two things by one name: which of them is meant is anybody's guess (RFC 7493, 2.3)."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ParseError(f"An object has the name {counts.most_common(1)[0][0][:40]!r} more than once.")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


# Python's decoder, which refuses what is no JSON, or says two things by one name; safe between threads.
DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, parse_int=_integer, object_pairs_hook=_distinct
)
# Returns the value that begins at a place of a text, and the place behind it. Raises StopIteration where none begins,
# ValueError, ParseError, and RecursionError; depth and text are for the caller to check.
scan: Final[Callable[[str, int], tuple[Any, int]]] = DECODER.scan_once  # type: ignore[attr-defined]  # typeshed leaves it out
