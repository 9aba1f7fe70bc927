"""The JSON body of many triggers, read one trigger after the other.

A trigger becomes an item as soon as it is read, so that what Python makes of JSON, many times its size, is there for
one trigger at a time.
"""

import re
from json import JSONDecodeError
from typing import Any, NamedTuple, NoReturn

from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError

from accounts.strict_json import DEEPEST, SUSPICIOUS, check_depth, check_text, scan
from triggers.bulk.items import Item, item_from
from triggers.bulk.serializers import MOST_TRIGGERS, BulkHeadSerializer

SPACE = re.compile(r"[ \t\n\r]*")
# Every trigger that is wrong is named; beyond so many faults, by its first one.
MOST_FAULTS = 10_000


class Bulk(NamedTuple):
    """Which workflow is triggered, and the valid triggers in their order."""

    workflow: str
    items: list[Item]


def read_bulk(text: str) -> Bulk:
    """Return what a body asks for.

    Raises ParseError for what is no JSON, and ValidationError with everything that is wrong with it otherwise.
    """
    try:
        return _Reader(text).read()
    except RecursionError:
        raise ParseError(f"The body is nested deeper than {DEEPEST} levels.") from None
    except ValueError as error:
        raise ParseError(f"The body is not JSON: {error}") from None


class _Reader:
    """Walks through a body once; `at` is where it has got."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._is_suspicious = SUSPICIOUS.search(text) is not None
        self._items: list[Item] = []
        self._faults: dict[str, Any] = {}
        self._faults_left = MOST_FAULTS

    def read(self) -> Bulk:
        """Return what the body asks for."""
        if self._next() != "{":
            self._value()
            self._end()
            raise ValidationError({"non_field_errors": ["The body must be a JSON object."]}, code="invalid")
        head: dict[str, Any] = {}
        triggers: list[ErrorDetail] | None = [ErrorDetail("This field is required.", "required")]
        for name in self._names():
            if name != "triggers":
                head[name] = self._value()
            elif self._next() == "[":
                triggers = self._read_items()
            else:
                triggers = [_not_a_list(self._value())]
        self._end()
        return self._judged(head, triggers)

    def _judged(self, head: dict[str, Any], triggers: list[ErrorDetail] | None) -> Bulk:
        serializer = BulkHeadSerializer(data=head)
        errors: dict[str, Any] = {} if serializer.is_valid() else dict(serializer.errors)
        for name in sorted(head.keys() - serializer.fields.keys()):
            errors[name] = [ErrorDetail("There is no such field.", "unknown_field")]
        if triggers or self._faults:
            errors["triggers"] = triggers or self._faults
        if errors:
            raise ValidationError(errors)
        return Bulk(serializer.validated_data["workflow"], self._items)

    def _names(self) -> Any:
        """Step from name to name of the object that begins here; whoever asks reads the value in between."""
        seen: set[str] = set()
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return
        while True:
            if self._next() != '"':
                self._fail("Expecting property name enclosed in double quotes")
            name = str(self._value())
            if name in seen:
                raise ParseError(f"An object has the name {name[:40]!r} more than once.")
            seen.add(name)
            self._expect(":")
            yield name
            if self._expect(",", "}") == "}":
                return

    def _read_items(self) -> list[ErrorDetail] | None:
        """Read the list that begins here; return what is wrong with it as a whole."""
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return [ErrorDetail("This list may not be empty.", "empty")]
        index = 0
        while True:
            if index == MOST_TRIGGERS:
                message = f"Ensure this field has no more than {MOST_TRIGGERS} elements."
                raise ValidationError({"triggers": [ErrorDetail(message, "max_length")]})
            self._take(index, self._value())
            index += 1
            if self._expect(",", "]") == "]":
                return None

    def _take(self, index: int, value: Any) -> None:
        try:
            self._items.append(item_from(value))
        except ValidationError as error:
            detail: Any = error.detail
            if isinstance(detail, dict):
                detail = dict(list(detail.items())[: max(1, self._faults_left)])
            self._faults_left -= len(detail)
            self._faults[str(index)] = detail

    def _value(self) -> Any:
        """Return the value that begins here, and step behind it."""
        self._next()
        begin = self._at
        try:
            value, self._at = scan(self._text, begin)
        except StopIteration as stop:
            raise JSONDecodeError("Expecting value", self._text, stop.value) from None
        check_depth(self._text[begin : self._at])
        if self._is_suspicious:
            check_text(value)
        return value

    def _next(self) -> str:
        """Step over space and return the character there, or nothing at the end."""
        found = SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _expect(self, *wanted: str) -> str:
        found = self._next()
        if found not in wanted:
            self._fail(f"Expecting {' or '.join(map(repr, wanted))}")
        self._at += 1
        return found

    def _end(self) -> None:
        if self._next():
            self._fail("Extra data")

    def _fail(self, what: str) -> NoReturn:
        raise JSONDecodeError(what, self._text, self._at)


def _not_a_list(value: Any) -> ErrorDetail:
    kind = "null" if value is None else "not_a_list"
    message = "This field may not be null." if value is None else "Expected a list of items."
    return ErrorDetail(message, kind)
