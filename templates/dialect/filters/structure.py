"""Filters that look at a value as a whole: its default, its JSON, its number."""

import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring
from typing import Final

from templates import limits
from templates.dialect.filter_registry import liquid_filter
from templates.dialect.numbers import number_to_text
from templates.dialect.state import RenderState
from templates.dialect.values import (
    UNDEFINED,
    Keyword,
    LoopObject,
    coerce_number,
    is_falsy,
    is_js_falsy,
    is_number,
    stringify,
    to_plain,
)
from templates.errors import LimitExceededError, RenderError

MAX_INDENT: Final = 10
_HALF_CHARACTER: Final = re.compile("[\ud800-\udfff]")


@liquid_filter("raw", is_raw=True)
def raw(_state: RenderState, value: object) -> object:
    """Mark the output as HTML that is safe as it is."""
    return value


@liquid_filter("default")
def default(_state: RenderState, value: object, *arguments: object) -> object:
    """Replace null, false and what is empty; `allow_false: true` keeps false."""
    value = to_plain(value)
    fallback = arguments[0] if arguments else UNDEFINED
    if isinstance(value, (str, list, tuple)):
        return value or fallback
    if value is False and _option(arguments[1:], "allow_false"):
        return False
    return fallback if is_falsy(value) else value


def _option(arguments: Sequence[object], name: str) -> bool:
    """Tell whether a named argument was given and set. Raises RenderError for arguments without a name."""
    pairs = [argument for argument in arguments if isinstance(argument, (list, tuple))]
    if len(pairs) < len(arguments):
        raise RenderError("default takes one value; its options are named, as in allow_false: true")
    return any(pair[:1] == [name] and not is_js_falsy(pair[1]) for pair in pairs)


@liquid_filter("to_integer")
def to_integer(state: RenderState, value: object) -> float:
    """Return the number a text spells; NaN if it spells none. A fraction stays, as in LiquidJS."""
    return coerce_number(state, value)


@liquid_filter("json", "jsonify", "inspect")
def json(state: RenderState, value: object, indent: object = 0) -> object:
    """Write as JSON, indented by that many spaces or by that text."""
    if value is UNDEFINED:
        return UNDEFINED
    writer = _JsonWriter(state, _indent_text(state, indent))
    writer.write(value, 0)
    return writer.text()


def _indent_text(state: RenderState, indent: object) -> str:
    if isinstance(indent, str):
        return indent[:MAX_INDENT]
    return " " * int(min(max(coerce_number(state, indent), 0), MAX_INDENT)) if is_number(indent) else ""


class _JsonWriter:
    """Writes one value, paying as it goes: a small value may hold itself many times over."""

    def __init__(self, state: RenderState, indent: str) -> None:
        self._state = state
        self._indent = indent
        self._parts: list[str] = []
        self._length = 0

    def text(self) -> str:
        return "".join(self._parts)

    def write(self, value: object, depth: int) -> None:
        if depth > limits.MAX_VALUE_DEPTH:
            raise LimitExceededError(f"a value is nested more than {limits.MAX_VALUE_DEPTH} deep")
        if isinstance(value, LoopObject):
            value = value.own()
        if isinstance(value, Keyword):
            value = {}
        if isinstance(value, (list, tuple)):
            self._write_all("[", "]", [("", item) for item in value], depth)
        elif isinstance(value, Mapping):
            self._write_all("{", "}", self._members(value), depth)
        else:
            self._add(self._scalar(value))

    def _members(self, value: Mapping[object, object]) -> list[tuple[str, object]]:
        separator = '": ' if self._indent else '":'
        return [
            (_quote(stringify(self._state, key))[:-1] + separator, item)
            for key, item in value.items()
            if item is not UNDEFINED
        ]

    def _write_all(self, opener: str, closer: str, members: list[tuple[str, object]], depth: int) -> None:
        self._state.charge(1 + len(members))
        self._add(opener)
        for index, (label, item) in enumerate(members):
            self._add(("," if index else "") + self._line(depth + 1) + label)
            self.write(item, depth + 1)
        self._add((self._line(depth) if members else "") + closer)

    def _line(self, depth: int) -> str:
        return "\n" + self._indent * depth if self._indent else ""

    def _add(self, text: str) -> None:
        self._length += len(text)
        if self._length > limits.MAX_STRING_CHARS:
            self._state.charge_text(self._length)
        self._state.charge_text(len(text))
        self._parts.append(text)

    def _scalar(self, value: object) -> str:
        if value is None or value is UNDEFINED:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            text = number_to_text(value)
            return "null" if text in {"NaN", "Infinity", "-Infinity"} else text
        return _quote(stringify(self._state, value))


def _quote(text: str) -> str:
    quoted = encode_basestring(text)
    if quoted.isascii():
        return quoted
    return _HALF_CHARACTER.sub(lambda match: f"\\u{ord(match.group()):04x}", quoted)
