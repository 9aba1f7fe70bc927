"""The list of filters, and how one is entered in it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from templates.dialect.values import UNDEFINED

Function = TypeVar("Function", bound=Callable[..., object])
Argument = TypeVar("Argument")


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter: called as `function(state, value, *arguments)`.

    `defaults` has one value for each argument it takes, or is None when it takes any number.
    `is_raw` exempts the output from HTML escaping.
    """

    function: Callable[..., object]
    defaults: tuple[object, ...] | None
    is_raw: bool

    def fit(self, arguments: Sequence[Argument]) -> Sequence[Argument]:
        """Drop the arguments that JavaScript would not pass on."""
        return arguments if self.defaults is None else arguments[: len(self.defaults)]

    def with_defaults(self, values: list[object]) -> list[object]:
        """Replace undefined arguments by the filter's defaults."""
        if self.defaults is None or UNDEFINED not in values:
            return values
        return [default if value is UNDEFINED else value for value, default in zip(values, self.defaults, strict=False)]


FILTERS: Final[dict[str, FilterSpec]] = {}


def liquid_filter(*names: str, is_raw: bool = False) -> Callable[[Function], Function]:
    """Enter a function in FILTERS under these names."""

    def register(function: Function) -> Function:
        parameters = list(inspect.signature(function).parameters.values())[2:]
        is_variadic = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
        defaults = None if is_variadic else tuple(parameter.default for parameter in parameters)
        for name in names:
            FILTERS[name] = FilterSpec(function, defaults, is_raw)
        return function

    return register
