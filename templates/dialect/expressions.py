"""What stands in `{{ ... }}` once it is read: values, paths, operators and filters, ready to be evaluated."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from templates import limits
from templates.dialect.comparison import OPERATORS
from templates.dialect.filter_registry import FilterSpec
from templates.dialect.properties import property_name, read_name, read_property
from templates.dialect.state import RenderState
from templates.dialect.values import UNDEFINED, coerce_number, is_falsy, to_plain
from templates.errors import LimitExceededError

_FREE_NAMES: Final = 4  # the usual path is paid for by its node


class Expression(ABC):
    """Something that has a value in a context."""

    __slots__ = ()

    @abstractmethod
    def evaluate(self, state: RenderState) -> object:
        """Return the value."""

    @abstractmethod
    def excuse_missing(self) -> None:
        """Let variables in here be missing without a report; called while parsing only."""


class Constant(Expression):
    """A text, number or keyword as written."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def evaluate(self, state: RenderState) -> object:
        return self.value

    def excuse_missing(self) -> None:
        """Do nothing: there is no variable in a constant."""


class Path(Expression):
    """A dotted name, the most common expression of all: `order.customer.name`."""

    __slots__ = ("is_excused", "label", "names", "root")

    def __init__(self, root: str, names: Sequence[str], *, is_excused: bool) -> None:
        self.root = root
        self.names = tuple(names)
        self.label = ".".join((root, *names))
        self.is_excused = is_excused

    def excuse_missing(self) -> None:
        self.is_excused = True

    def evaluate(self, state: RenderState) -> object:
        if len(self.names) > _FREE_NAMES:
            state.charge(len(self.names))
        value = find_variable(state, self.root)
        for name in self.names:
            if type(value) is dict and name in value:
                value = value[name]
                continue
            value = read_name(state, value, name)
        if value is UNDEFINED and not self.is_excused:
            _report_missing(state, self.root, self.label)
        return value


class ComputedPath(Expression):
    """A path with computed parts, such as `orders[n].id` or `["odd name"]`, from a variable or from `base`."""

    __slots__ = ("base", "is_excused", "keys")

    def __init__(self, base: Expression | None, keys: Sequence[Expression], *, is_excused: bool) -> None:
        self.base = base
        self.keys = tuple(keys)
        self.is_excused = is_excused

    def excuse_missing(self) -> None:
        self.is_excused = True
        for key in self.keys:
            key.excuse_missing()

    def evaluate(self, state: RenderState) -> object:
        state.charge(len(self.keys))
        keys = [to_plain(key.evaluate(state)) for key in self.keys]
        if self.base is not None:
            return self._follow(state, self.base.evaluate(state), keys)
        root = property_name(state, keys[0])
        value = self._follow(state, find_variable(state, root), keys[1:])
        if value is UNDEFINED and not self.is_excused and UNDEFINED not in keys:
            names = [property_name(state, key) for key in keys]
            state.charge_text(sum(map(len, names)))
            _report_missing(state, root, ".".join(names))
        return value

    @staticmethod
    def _follow(state: RenderState, value: object, keys: Sequence[object]) -> object:
        for key in keys:
            value = read_property(state, value, key)
        return value


class Range(Expression):
    """`(first..last)`; one with more numbers than loops may run is refused before it takes memory."""

    __slots__ = ("first", "last")

    def __init__(self, first: Expression, last: Expression) -> None:
        self.first = first
        self.last = last

    def excuse_missing(self) -> None:
        self.first.excuse_missing()
        self.last.excuse_missing()

    def evaluate(self, state: RenderState) -> object:
        first = coerce_number(state, self.first.evaluate(state))
        last = coerce_number(state, self.last.evaluate(state))
        if not first < last + 1:
            return []
        if last + 1 - first > limits.MAX_ITERATIONS:
            raise LimitExceededError(f"a range has more than {limits.MAX_ITERATIONS} numbers")
        count = math.ceil(last + 1 - first)
        state.charge(count)
        if first.is_integer():
            return list(range(int(first), int(first) + count))
        return [first + step for step in range(count)]


class Operation(Expression):
    """Operators and operands in postfix order, evaluated with a stack: no chain is too long for it.

    Every operand is evaluated, also where the outcome is already clear.
    """

    __slots__ = ("postfix",)

    def __init__(self, postfix: Sequence[Expression | str]) -> None:
        self.postfix = tuple(postfix)

    def excuse_missing(self) -> None:
        for part in self.postfix:
            if not isinstance(part, str):
                part.excuse_missing()

    def evaluate(self, state: RenderState) -> object:
        state.charge(len(self.postfix))
        stack: list[object] = []
        for part in self.postfix:
            if not isinstance(part, str):
                stack.append(part.evaluate(state))
                continue
            right = stack.pop() if stack else UNDEFINED
            if part == "not":
                stack.append(is_falsy(right))
            else:
                left = stack.pop() if stack else UNDEFINED
                stack.append(OPERATORS[part](state, left, right))
        return stack[0]


Argument = tuple[str | None, Expression]


class FilterCall:
    """One `| name: arguments`. A named argument reaches the filter as a [name, value] pair."""

    __slots__ = ("arguments", "name", "spec")

    def __init__(self, name: str, spec: FilterSpec, arguments: Sequence[Argument]) -> None:
        self.name = name
        self.spec = spec
        self.arguments = tuple(arguments)

    def apply(self, state: RenderState, value: object) -> object:
        state.charge(1 + len(self.arguments))
        if not self.arguments:
            return self.spec.function(state, value)
        values = [
            argument.evaluate(state) if name is None else [name, argument.evaluate(state)]
            for name, argument in self.arguments
        ]
        return self.spec.function(state, value, *self.spec.with_defaults(values))


class Filtered(Expression):
    """A value and the filters it goes through."""

    __slots__ = ("filters", "initial")

    def __init__(self, initial: Expression, filters: Sequence[FilterCall]) -> None:
        self.initial = initial
        self.filters = tuple(filters)
        self._excuse_what_default_guards()

    def _excuse_what_default_guards(self) -> None:
        guards = [index for index, call in enumerate(self.filters) if call.name == "default"]
        if not guards:
            return
        self.initial.excuse_missing()
        for call in self.filters[: guards[-1]]:
            for _name, argument in call.arguments:
                argument.excuse_missing()

    def excuse_missing(self) -> None:
        self.initial.excuse_missing()
        for call in self.filters:
            for _name, argument in call.arguments:
                argument.excuse_missing()

    def evaluate(self, state: RenderState) -> object:
        value = self.initial.evaluate(state)
        for call in self.filters:
            value = call.apply(state, value)
        return value


def find_variable(state: RenderState, name: str) -> object:
    """Look a name up: loops first, then what the template assigned, its counters, then the context.

    An unknown `size` is 0, because LiquidJS looks names up in an empty object last of all.
    """
    for scope in reversed(state.scopes):
        if name in scope:
            return scope[name]
    if state.counters and name in state.counters:
        return state.counters[name]
    value = state.context.get(name, UNDEFINED)
    return 0 if value is UNDEFINED and name == "size" else value


def _report_missing(state: RenderState, root: str, label: str) -> None:
    """Report a name, unless the template itself set it to something that was not there."""
    for scope in state.scopes:
        if scope.get(root) is UNDEFINED:
            return
    state.note_missing(label)
