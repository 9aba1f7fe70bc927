"""Reading JSON bodies: what PostgreSQL, Python or a reader can't hold is refused here, with the reason."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

DEEPEST = 64
LONGEST_INTEGER = 1000
# The escapes of NUL, which PostgreSQL's text and jsonb can't hold, and of lone surrogates, which UTF-8 can't.
SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")


class BodyTooLarge(APIException):
    """413: the body is larger than the API reads."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes.")


class StrictJSONParser(BaseParser):
    """Parses RFC 8259 JSON in UTF-8, up to a size and a depth; numbers must be finite, text must be storable."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body's value. Raises ParseError (400) and BodyTooLarge (413)."""
        body = _read(stream, settings.API_BODY_LIMIT_BYTES)
        if body.count(b"[") + body.count(b"{") > DEEPEST:
            _check_depth(body)
        try:
            # From bytes json.loads would guess UTF-16, which the checks here overlook, and let half surrogates in.
            text = body.decode("utf-8-sig")
            value = json.loads(
                text,
                parse_constant=_refuse_constant,
                parse_float=_finite,
                parse_int=_integer,
                object_pairs_hook=_distinct,
            )
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from None
        if SUSPICIOUS.search(body):
            _check_text(value)
        return value


def _read(stream: IO[bytes], limit: int) -> bytes:
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def _check_depth(body: bytes) -> None:
    """Raise ParseError when brackets outside of strings nest too deep; Python's own limit ends in RecursionError."""
    depth = 0
    # A string that never ends counts up to the end; tried again from each quote in it, it would take quadratic time.
    for token in re.finditer(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', body, re.DOTALL):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise ParseError(f"The body is nested deeper than {DEEPEST} levels.")
        elif first in b"]}":
            depth -= 1


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


def _check_text(value: object) -> None:
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
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
