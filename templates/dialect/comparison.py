"""Equality, order and membership as the operators and the list filters of LiquidJS decide them."""

import math
from collections.abc import Callable, Mapping

from templates import limits
from templates.dialect.state import RenderState
from templates.dialect.unicode import SPACE, sort_key
from templates.dialect.values import (
    BLANK,
    EMPTY,
    NIL,
    OBJECT_TEXT,
    Keyword,
    coerce_number,
    is_falsy,
    is_nil,
    to_plain,
    to_text,
)
from templates.errors import LimitExceededError


def equals(state: RenderState, left: object, right: object, depth: int = 0) -> bool:
    """Compare as `==` does: lists by their elements, objects by identity, never across types."""
    if isinstance(left, Keyword):
        return _keyword_equals(state, left, right)
    if isinstance(right, Keyword):
        return _keyword_equals(state, right, left)
    if isinstance(left, (list, tuple)):
        return isinstance(right, (list, tuple)) and _lists_equal(state, left, right, depth)
    return is_same(state, left, right)


def _lists_equal(
    state: RenderState,
    left: list[object] | tuple[object, ...],
    right: list[object] | tuple[object, ...],
    depth: int,
) -> bool:
    if depth > limits.MAX_VALUE_DEPTH:
        raise LimitExceededError(f"a value is nested more than {limits.MAX_VALUE_DEPTH} deep")
    if len(left) != len(right):
        return False
    state.charge(1 + len(left))
    return all(equals(state, a, b, depth + 1) for a, b in zip(left, right, strict=True))


def is_same(state: RenderState, left: object, right: object) -> bool:
    """Return JavaScript's `===`."""
    if isinstance(left, str):
        if not isinstance(right, str):
            return False
        state.charge_text(min(len(left), len(right)))
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)):
        return isinstance(right, (int, float)) and left == right
    return to_plain(left) is to_plain(right)


def _keyword_equals(state: RenderState, keyword: Keyword, value: object) -> bool:
    if keyword is NIL:
        return is_nil(to_plain(value))
    if value is EMPTY or value is BLANK:
        return False
    value = to_plain(value)
    if keyword is BLANK and isinstance(value, str):
        state.charge_text(len(value))
        return not value.strip(SPACE)
    if keyword is BLANK and is_falsy(value):
        return True
    return isinstance(value, (str, list, tuple, Mapping)) and not value


def identity(value: object) -> object:
    """Return a key that is equal for what JavaScript's Map and Set take for the same value."""
    if isinstance(value, (bool, str)):
        return (type(value), value)
    if isinstance(value, (int, float)):
        return (float, "NaN" if isinstance(value, float) and math.isnan(value) else value)
    return (object, id(value))


def is_less(state: RenderState, left: object, right: object) -> bool:
    """Return JavaScript's `<`: two texts in order of their characters, anything else as numbers."""
    left, right = _primitive(state, left), _primitive(state, right)
    if isinstance(left, str) and isinstance(right, str):
        state.charge_text(max(len(left), len(right)))
        if left.isascii() and right.isascii():
            return left < right
        return sort_key(left) < sort_key(right)
    return coerce_number(state, left) < coerce_number(state, right)


def is_less_or_equal(state: RenderState, left: object, right: object) -> bool:
    """Return JavaScript's `<=`, which is false for what cannot be compared."""
    left, right = _primitive(state, left), _primitive(state, right)
    if isinstance(left, str) and isinstance(right, str):
        return not is_less(state, right, left)
    return coerce_number(state, left) <= coerce_number(state, right)


def _primitive(state: RenderState, value: object) -> object:
    if type(value) is int or type(value) is str or type(value) is float:
        return value
    value = to_plain(value)
    if isinstance(value, (list, tuple)):
        return to_text(state, value)
    return OBJECT_TEXT if isinstance(value, Mapping) else value


def contains(state: RenderState, container: object, item: object) -> bool:
    """Tell whether a list has an equal element, or a text has that text in it."""
    container = to_plain(container)
    if isinstance(container, (list, tuple)):
        state.charge(len(container))
        return any(equals(state, element, item) for element in container)
    if isinstance(container, str):
        needle = to_text(state, to_plain(item))
        state.charge_text(len(container))
        return needle in container
    return False


Comparison = Callable[[RenderState, object, object], bool]


def _ordered(compare: Comparison) -> Comparison:
    def operator(state: RenderState, left: object, right: object) -> bool:
        if isinstance(left, Keyword) or isinstance(right, Keyword):
            return False
        return compare(state, left, right)

    return operator


OPERATORS: dict[str, Comparison] = {
    "==": equals,
    "!=": lambda state, left, right: not equals(state, left, right),
    "<": _ordered(is_less),
    ">": _ordered(lambda state, left, right: is_less(state, right, left)),
    "<=": _ordered(is_less_or_equal),
    ">=": _ordered(lambda state, left, right: is_less_or_equal(state, right, left)),
    "contains": contains,
    "and": lambda _state, left, right: not is_falsy(left) and not is_falsy(right),
    "or": lambda _state, left, right: not is_falsy(left) or not is_falsy(right),
}


def order(state: RenderState, left: object, right: object) -> int:
    """Compare for sorting; null goes to the end."""
    if is_nil(left) or is_nil(right):
        return is_nil(left) - is_nil(right)
    if is_less(state, left, right):
        return -1
    return 1 if is_less(state, right, left) else 0
