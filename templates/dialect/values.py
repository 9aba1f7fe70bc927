"""The values a template can hold, how they turn into text and numbers, and how they are listed.

They are what JSON has, plus `UNDEFINED` for what is not there, the keywords `nil`, `empty` and `blank`, and the
loop objects. Anything else that a context may hold is opaque: it prints, and has no properties.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final
from uuid import UUID

from templates import limits
from templates.dialect.numbers import NAN, number_to_text, text_to_number, to_float
from templates.dialect.state import RenderState
from templates.dialect.unicode import paired
from templates.errors import LimitExceededError

OBJECT_TEXT: Final = "[object Object]"


class Undefined:
    """JavaScript's undefined: the value of what is not there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"


class Keyword:
    """`nil`, `empty` or `blank` as written in a template; compared by meaning and printed as nothing."""

    __slots__ = ("name", "plain")

    def __init__(self, name: str, plain: str | None) -> None:
        self.name = name
        self.plain = plain


class LoopObject:
    """`forloop`: where a loop is. A subclass adds what it knows to both methods."""

    __slots__ = ("index0", "length", "name")

    def __init__(self, length: int, name: str) -> None:
        self.index0 = 0
        self.length = length
        self.name = name

    def own(self) -> dict[str, object]:
        """Return what the object prints, as JSON."""
        return {"i": self.index0, "length": self.length, "name": self.name}

    def properties(self) -> dict[str, object]:
        """Return what a template can ask of it."""
        index = self.index0
        return self.own() | {
            "index": index + 1,
            "index0": index,
            "first": index == 0,
            "last": index == self.length - 1,
            "rindex": self.length - index,
            "rindex0": self.length - index - 1,
        }


UNDEFINED: Final = Undefined()
NIL: Final = Keyword("nil", None)
EMPTY: Final = Keyword("empty", "")
BLANK: Final = Keyword("blank", "")


def is_nil(value: object) -> bool:
    return value is None or value is UNDEFINED


def is_number(value: object) -> bool:
    return type(value) is int or type(value) is float


def is_array(value: object) -> bool:
    return isinstance(value, (list, tuple))


def is_falsy(value: object) -> bool:
    """Only false, null and undefined are; zero and empty texts are true."""
    return value is False or value is None or value is UNDEFINED or value is NIL


def is_js_falsy(value: object) -> bool:
    """Tell what JavaScript itself takes for false, where a filter asks that way."""
    if isinstance(value, float) and math.isnan(value):
        return True
    return is_nil(value) or (isinstance(value, (bool, int, float, str)) and not value)


def to_plain(value: object) -> object:
    """Replace keywords and loop objects by what they stand for."""
    if isinstance(value, Keyword):
        return value.plain
    if isinstance(value, LoopObject):
        return json.dumps(value.own(), ensure_ascii=False, separators=(",", ":"))
    return value


def stringify(state: RenderState, value: object, depth: int = 0) -> str:
    """Return what a value prints: nothing for null, the elements one after the other for a list."""
    if type(value) is str:
        return value
    if type(value) is int or type(value) is float:
        return number_to_text(value)
    if isinstance(value, (list, tuple)):
        return _join(state, [stringify(state, item, depth + 1) for item in _spend(state, value, depth)], "")
    value = to_plain(value)
    return "" if is_nil(value) else _scalar_to_text(value)


def to_text(state: RenderState, value: object, depth: int = 0) -> str:
    """Return JavaScript's `String(value)`: "null" and "undefined" by name, lists with commas."""
    if isinstance(value, (list, tuple)):
        return join(state, value, ",", depth)
    if isinstance(value, (Keyword, LoopObject)):
        return OBJECT_TEXT
    if value is None:
        return "null"
    return "undefined" if value is UNDEFINED else _scalar_to_text(value)


def join(state: RenderState, items: Sequence[object], separator: str, depth: int = 0) -> str:
    """Return JavaScript's `items.join(separator)`: null prints nothing, inner lists have commas."""
    texts = ["" if is_nil(item) else to_text(state, item, depth + 1) for item in _spend(state, items, depth)]
    return _join(state, texts, separator)


def _spend(state: RenderState, items: Sequence[object], depth: int) -> Sequence[object]:
    """Pay for reading a list that may hold itself many times over."""
    if depth > limits.MAX_VALUE_DEPTH:
        raise LimitExceededError(f"a value is nested more than {limits.MAX_VALUE_DEPTH} deep")
    state.charge(1 + len(items))
    return items


def _join(state: RenderState, texts: list[str], separator: str) -> str:
    length = sum(map(len, texts)) + len(separator) * max(len(texts) - 1, 0)
    state.charge_text(length)
    return paired(separator.join(texts))


def _scalar_to_text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_to_text(value)
    if isinstance(value, Decimal):
        return number_to_text(to_float(float(value)))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else OBJECT_TEXT


def coerce_number(state: RenderState, value: object) -> float:
    """Return JavaScript's `Number(value)`, which may be NaN."""
    if isinstance(value, (bool, int, float)):
        return to_float(value)
    value = to_plain(value)
    if value is None:
        return 0.0
    if isinstance(value, str):
        state.charge_text(len(value))
        return text_to_number(value)
    if isinstance(value, (list, tuple, Decimal)):
        return text_to_number(to_text(state, value))
    return NAN


def to_number(state: RenderState, value: object) -> float:
    """Return the number a filter calculates with: what is none counts as 0."""
    number = coerce_number(state, value)
    return 0.0 if math.isnan(number) else number


def to_array(value: object) -> list[object]:
    """Return the list a list filter works on: null is empty, anything else is a list of itself."""
    value = to_plain(value)
    if is_nil(value):
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def to_enumerable(value: object) -> list[object]:
    """Return what a loop runs over: a text is one item, an object is its [key, value] pairs."""
    value = to_plain(value)
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Mapping):
        return [[key, item] for key, item in value.items()]
    return []
