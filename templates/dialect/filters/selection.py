"""Filters that choose or group the elements of a list by a property or by an expression."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from templates.dialect.comparison import equals, identity
from templates.dialect.filter_registry import FILTERS, liquid_filter
from templates.dialect.properties import element_index, read_name
from templates.dialect.reader import ExpressionReader, Origin
from templates.dialect.state import RenderState
from templates.dialect.values import UNDEFINED, is_falsy, is_js_falsy, is_nil, stringify, to_array, to_enumerable
from templates.errors import LimitExceededError

MAX_NESTED_EXPRESSIONS: Final = 5
_DEPTH: Final = "expression depth"

Key = Callable[[object], object]


class _Elements(Mapping[str, object]):
    """A list or text seen as an object: its indexes and its length are its names."""

    def __init__(self, state: RenderState, items: object) -> None:
        self._state = state
        self._items = items

    def __getitem__(self, name: str) -> object:
        if is_nil(self._items) or (name != "length" and element_index(name) is None):
            raise KeyError(name)
        value = read_name(self._state, self._items, name)
        if value is UNDEFINED:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _items_of(state: RenderState, value: object) -> list[object]:
    """Return the elements, having paid for the expression that each of them will be asked."""
    items = to_array(value)
    state.charge(2 * len(items))
    return items


def _as_context(state: RenderState, item: object) -> Mapping[str, object]:
    return item if isinstance(item, Mapping) else _Elements(state, item)


def _reader(state: RenderState, value: object) -> ExpressionReader:
    """Read an expression given as text; its variables may be missing, it asks about them."""
    text = stringify(state, value)
    state.charge(1 + len(text))
    return ExpressionReader(text, FILTERS, Origin(text, 0), is_excused=True)


@contextmanager
def _by_path(state: RenderState, path: object) -> Iterator[Key]:
    """Give a function that reads a property of an element."""
    expression = _reader(state, path).read_scope_value()
    outer = (state.context, state.scopes, state.counters)
    state.scopes, state.counters = [{}], {}

    def key(item: object) -> object:
        state.context = _as_context(state, item)
        return UNDEFINED if expression is None else expression.evaluate(state)

    try:
        yield key
    finally:
        state.context, state.scopes, state.counters = outer


@contextmanager
def _by_expression(state: RenderState, name: object, source: object) -> Iterator[Key]:
    """Give a function that evaluates an expression with the element under a name of its own."""
    expression = _reader(state, source).read_filtered()
    scope: dict[str, object] = {}
    variable = stringify(state, name)
    depth = state.registers.get(_DEPTH, 0)
    if not isinstance(depth, int) or depth >= MAX_NESTED_EXPRESSIONS:
        raise LimitExceededError("an expression given as text uses itself too often")

    def key(item: object) -> object:
        scope[variable] = item
        return expression.evaluate(state)

    state.registers[_DEPTH] = depth + 1
    state.scopes.append(scope)
    try:
        yield key
    finally:
        state.scopes.pop()
        state.registers[_DEPTH] = depth


def _matches(state: RenderState, value: object, expected: object) -> bool:
    return not is_falsy(value) if expected is UNDEFINED else equals(state, value, expected)


def _select(state: RenderState, value: object, path: object, expected: object, *, is_kept: bool) -> list[object]:
    items = _items_of(state, value)
    with _by_path(state, path) as key:
        return [item for item in items if _matches(state, key(item), expected) is is_kept]


@liquid_filter("where")
def where(state: RenderState, value: object, path: object = UNDEFINED, expected: object = UNDEFINED) -> list[object]:
    return _select(state, value, path, expected, is_kept=True)


@liquid_filter("reject")
def reject(state: RenderState, value: object, path: object = UNDEFINED, expected: object = UNDEFINED) -> list[object]:
    return _select(state, value, path, expected, is_kept=False)


@liquid_filter("where_exp")
def where_exp(state: RenderState, value: object, name: object = UNDEFINED, source: object = UNDEFINED) -> list[object]:
    """Keep the elements for which the expression is `true` itself; a text or a number does not count."""
    items = _items_of(state, value)
    with _by_expression(state, name, source) as key:
        return [item for item in items if key(item) is True]


@liquid_filter("reject_exp")
def reject_exp(state: RenderState, value: object, name: object = UNDEFINED, source: object = UNDEFINED) -> list[object]:
    """Keep the elements for which the expression is `false` itself."""
    items = _items_of(state, value)
    with _by_expression(state, name, source) as key:
        return [item for item in items if key(item) is False]


def _grouped(items: list[object], key: Key) -> list[dict[str, object]]:
    names: dict[object, object] = {}
    groups: dict[object, list[object]] = {}
    for item in items:
        name = key(item)
        names.setdefault(identity(name), name)
        groups.setdefault(identity(name), []).append(item)
    return [{"name": names[known], "items": members} for known, members in groups.items()]


@liquid_filter("group_by")
def group_by(state: RenderState, value: object, path: object = UNDEFINED) -> list[dict[str, object]]:
    items = to_enumerable(value)
    state.charge(2 * len(items))
    with _by_path(state, path) as key:
        return _grouped(items, key)


@liquid_filter("group_by_exp")
def group_by_exp(
    state: RenderState, value: object, name: object = UNDEFINED, source: object = UNDEFINED
) -> list[dict[str, object]]:
    items = to_enumerable(value)
    state.charge(2 * len(items))
    with _by_expression(state, name, source) as key:
        return _grouped(items, key)


Found = tuple[int, object] | None


def _search(state: RenderState, value: object, path: object, expected: object) -> Found:
    items = _items_of(state, value)
    with _by_path(state, path) as key:
        hits = ((index, item) for index, item in enumerate(items) if _matches(state, key(item), expected))
        return next(hits, None)


def _search_exp(state: RenderState, value: object, name: object, source: object) -> Found:
    items = _items_of(state, value)
    with _by_expression(state, name, source) as key:
        hits = ((index, item) for index, item in enumerate(items) if not is_js_falsy(key(item)))
        return next(hits, None)


@liquid_filter("find")
def find(state: RenderState, value: object, path: object = UNDEFINED, expected: object = UNDEFINED) -> object:
    found = _search(state, value, path, expected)
    return UNDEFINED if found is None else found[1]


@liquid_filter("find_index")
def find_index(state: RenderState, value: object, path: object = UNDEFINED, expected: object = UNDEFINED) -> object:
    found = _search(state, value, path, expected)
    return UNDEFINED if found is None else found[0]


@liquid_filter("has")
def has(state: RenderState, value: object, path: object = UNDEFINED, expected: object = UNDEFINED) -> bool:
    return _search(state, value, path, expected) is not None


@liquid_filter("find_exp")
def find_exp(state: RenderState, value: object, name: object = UNDEFINED, source: object = UNDEFINED) -> object:
    found = _search_exp(state, value, name, source)
    return UNDEFINED if found is None else found[1]


@liquid_filter("find_index_exp")
def find_index_exp(state: RenderState, value: object, name: object = UNDEFINED, source: object = UNDEFINED) -> object:
    found = _search_exp(state, value, name, source)
    return UNDEFINED if found is None else found[0]


@liquid_filter("has_exp")
def has_exp(state: RenderState, value: object, name: object = UNDEFINED, source: object = UNDEFINED) -> bool:
    return _search_exp(state, value, name, source) is not None
