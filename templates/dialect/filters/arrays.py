"""Filters that take a list apart, put it together or put it in order. Choosing by a condition is in selection.py."""

import math
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from secrets import SystemRandom
from typing import Final

from templates.dialect.comparison import identity, order
from templates.dialect.filter_registry import liquid_filter
from templates.dialect.filters.strings import how_many, text_of
from templates.dialect.numbers import number_to_text
from templates.dialect.properties import read_element, read_path
from templates.dialect.state import RenderState
from templates.dialect.unicode import utf16_length, utf16_unit
from templates.dialect.values import (
    UNDEFINED,
    LoopObject,
    coerce_number,
    is_js_falsy,
    is_nil,
    is_number,
    stringify,
    to_array,
    to_plain,
    to_text,
)
from templates.dialect.values import join as join_items

_DICE: Final = SystemRandom()


def items_of(state: RenderState, value: object) -> list[object]:
    """Return a list filter's input as a new list, having paid for each element."""
    items = to_array(value)
    state.charge(len(items))
    return items


def charge_texts(state: RenderState, items: Sequence[object]) -> None:
    """Pay for reading the texts in a list: one long text may be in it many times."""
    length = sum(len(item) for item in items if isinstance(item, str))
    state.charge(length >> 4)


@liquid_filter("join")
def join(state: RenderState, value: object, separator: object = UNDEFINED) -> str:
    plain = to_plain(separator)
    return join_items(state, to_array(value), " " if is_nil(plain) else stringify(state, plain))


@liquid_filter("first")
def first(state: RenderState, value: object) -> object:
    return _element(state, value, 0)


@liquid_filter("last")
def last(state: RenderState, value: object) -> object:
    return _element(state, value, -1)


def _element(state: RenderState, value: object, index: int) -> object:
    value = to_plain(value)
    if isinstance(value, str):
        state.charge_text(len(value))
        position = utf16_length(value) - 1 if index < 0 else 0
        return utf16_unit(value, position) or ""
    if isinstance(value, Mapping):
        return _element_of_object(value, index)
    return read_element(value, index) if isinstance(value, (list, tuple)) else ""


def _element_of_object(value: Mapping[str, object], index: int) -> object:
    """Return an element of an object that has a length, as JavaScript's array-likes do."""
    length = value.get("length")
    if not isinstance(length, (int, float)) or isinstance(length, bool):
        return ""
    return value.get(number_to_text(index if index >= 0 else length + index), UNDEFINED)


@liquid_filter("size")
def size(state: RenderState, value: object) -> object:
    if isinstance(value, str):
        state.charge_text(len(value))
        return utf16_length(value)
    if isinstance(value, (list, tuple)):
        return len(value)
    length = value.get("length") if isinstance(value, Mapping) else None
    if isinstance(value, LoopObject):
        length = value.length
    return 0 if is_js_falsy(length) else length


@liquid_filter("reverse")
def reverse(state: RenderState, value: object) -> list[object]:
    return items_of(state, value)[::-1]


@liquid_filter("sort")
def sort(state: RenderState, value: object, path: object = UNDEFINED) -> list[object]:
    items = items_of(state, value)
    return _sorted(state, items, _keys(state, items, path))


@liquid_filter("sort_natural")
def sort_natural(state: RenderState, value: object, path: object = UNDEFINED) -> list[object]:
    """Sort without regard to case."""
    items = items_of(state, value)
    keys = [key if is_nil(key) else to_text(state, key).lower() for key in _keys(state, items, path)]
    return _sorted(state, items, keys)


def _keys(state: RenderState, items: list[object], path: object) -> list[object]:
    """Return what the items are sorted by: a property of theirs, or they themselves."""
    keys = items
    if not is_js_falsy(path):
        dotted = stringify(state, path)
        keys = [read_path(state, item, dotted) for item in items]
    charge_texts(state, keys)
    return keys


def _sorted(state: RenderState, items: list[object], keys: list[object]) -> list[object]:
    state.charge(len(items) * len(items).bit_length())

    def compare(left: tuple[object, object], right: tuple[object, object]) -> int:
        return order(state, left[0], right[0])

    pairs = sorted(zip(keys, items, strict=True), key=cmp_to_key(compare))
    return [item for _key, item in pairs]


@liquid_filter("map")
def map_items(state: RenderState, value: object, path: object = UNDEFINED) -> list[object]:
    dotted = stringify(state, path)
    return [read_path(state, item, dotted) for item in items_of(state, value)]


@liquid_filter("sum")
def total(state: RenderState, value: object, path: object = UNDEFINED) -> float:
    items = items_of(state, value)
    if not is_js_falsy(path):
        dotted = stringify(state, path)
        items = [read_path(state, item, dotted) for item in items]
    result = 0.0
    for item in items:
        number = coerce_number(state, item)
        result += 0.0 if math.isnan(number) else number
    return result


@liquid_filter("compact")
def compact(state: RenderState, value: object) -> list[object]:
    return [item for item in items_of(state, value) if not is_nil(to_plain(item))]


@liquid_filter("concat")
def concat(state: RenderState, value: object, other: object = ()) -> list[object]:
    return items_of(state, value) + items_of(state, other)


@liquid_filter("push")
def push(state: RenderState, value: object, item: object = UNDEFINED) -> list[object]:
    return [*items_of(state, value), item]


@liquid_filter("unshift")
def unshift(state: RenderState, value: object, item: object = UNDEFINED) -> list[object]:
    return [item, *items_of(state, value)]


@liquid_filter("pop")
def pop(state: RenderState, value: object) -> list[object]:
    return items_of(state, value)[:-1]


@liquid_filter("shift")
def shift(state: RenderState, value: object) -> list[object]:
    return items_of(state, value)[1:]


@liquid_filter("uniq")
def uniq(state: RenderState, value: object) -> list[object]:
    """Drop repetitions; two objects are the same only if they are one and the same."""
    return list({identity(item): item for item in reversed(items_of(state, value))}.values())[::-1]


@liquid_filter("slice")
def slice_(state: RenderState, value: object, begin: object = UNDEFINED, length: object = 1) -> object:
    """Return a part of a list or a text; a negative begin counts from the end."""
    value = to_plain(value)
    if is_nil(value):
        return []
    items = value if isinstance(value, (list, tuple)) else text_of(state, value)
    start, count = coerce_number(state, begin), coerce_number(state, length)
    start = len(items) + start if start < 0 else start
    if start < 0 or count < 0:
        return items[:0]
    if isinstance(items, str):
        position = how_many(state, start, len(items))
        return items[position : position + how_many(state, count, len(items))]
    return _slice_list(state, items, start, count, is_text=isinstance(begin, str) or isinstance(length, str))


def _slice_list(
    state: RenderState, items: Sequence[object], start: float, count: float, *, is_text: bool
) -> list[object]:
    """Cut a list. With an index given as text, JavaScript adds begin and length as texts: "1" and 2 make 12."""
    state.charge(len(items))
    end = start + count
    if is_text:
        end = coerce_number(state, f"{to_text(state, start)}{to_text(state, count)}")
    return list(items[_index(start, len(items)) : _index(end, len(items))])


def _index(position: float, length: int) -> int:
    return 0 if math.isnan(position) else int(min(max(position, 0), length))


@liquid_filter("sample")
def sample(state: RenderState, value: object, count: object = 1) -> object:
    """Pick at random: one element, or a list of as many as asked for."""
    value = to_plain(value)
    if is_nil(value):
        return []
    items = list(value) if isinstance(value, (list, tuple)) else list(text_of(state, value))
    state.charge(len(items))
    if is_number(count) and count == 1:
        return _DICE.choice(items) if items else UNDEFINED
    _DICE.shuffle(items)
    return items[: how_many(state, count, len(items))]
