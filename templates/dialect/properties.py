"""What `a.b`, `a[0]` and `a.size` read. Only mappings, lists, texts and loop objects have properties at all."""

from collections.abc import Mapping

from templates.dialect.numbers import number_to_text
from templates.dialect.state import RenderState
from templates.dialect.unicode import utf16_length, utf16_unit
from templates.dialect.values import (
    UNDEFINED,
    LoopObject,
    is_nil,
    is_number,
    to_plain,
    to_text,
)

MAX_INDEX_DIGITS = 10


def read_property(state: RenderState, target: object, key: object) -> object:
    """Return a property, or UNDEFINED; null has every property, and each is null."""
    if is_nil(target):
        return target
    if isinstance(target, (list, tuple)) and is_number(key):
        return read_element(target, key)
    return read_name(state, target, key if type(key) is str else property_name(state, key))


def read_name(state: RenderState, target: object, name: str) -> object:
    """Read a property by its name, as most templates do."""
    if type(target) is dict or isinstance(target, Mapping):
        value = target.get(name, UNDEFINED)
        return len(target) if value is UNDEFINED and name == "size" else value
    if is_nil(target):
        return target
    if isinstance(target, (list, tuple)):
        return _read_list(target, name)
    if isinstance(target, str):
        return _read_text(state, target, name)
    return target.properties().get(name, UNDEFINED) if isinstance(target, LoopObject) else UNDEFINED


def property_name(state: RenderState, key: object) -> str:
    """Return the name that a computed key stands for."""
    key = to_plain(key)
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return number_to_text(key)
    return key if isinstance(key, str) else to_text(state, key)


def read_element(items: object, index: object) -> object:
    """Return the element at a numeric index; a negative one counts from the end."""
    if not isinstance(items, (list, tuple)) or not isinstance(index, (int, float)) or index != index // 1:
        return UNDEFINED
    position = int(index) + len(items) if index < 0 else int(index)
    return items[position] if 0 <= position < len(items) else UNDEFINED


def element_index(name: str) -> int | None:
    """Return the index a property name spells, such as "12"; None when it is no index."""
    if name.isascii() and name.isdigit() and (name == "0" or name[0] != "0") and len(name) <= MAX_INDEX_DIGITS:
        return int(name)
    return None


def _read_list(items: list[object] | tuple[object, ...], name: str) -> object:
    if name in {"size", "length"}:
        return len(items)
    if name in {"first", "last"}:
        return items[-1 if name == "last" else 0] if items else UNDEFINED
    index = element_index(name)
    return items[index] if index is not None and index < len(items) else UNDEFINED


def _read_text(state: RenderState, text: str, name: str) -> object:
    state.charge_text(len(text))
    if name in {"size", "length"}:
        return utf16_length(text)
    index = element_index(name)
    unit = None if index is None else utf16_unit(text, index)
    return UNDEFINED if unit is None else unit


def read_path(state: RenderState, target: object, path: str) -> object:
    """Follow a dotted path from a value, as `map: 'a.b'` and its kind do."""
    names = path.split(".")
    state.charge(len(names))
    for name in names:
        target = read_name(state, target, name)
    return target
