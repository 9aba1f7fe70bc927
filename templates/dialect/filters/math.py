"""Filters that calculate, in doubles: nothing overflows, nothing raises, no number grows without bound."""

import math

from templates.dialect.filter_registry import liquid_filter
from templates.dialect.numbers import (
    MAX_SAFE_INTEGER,
    NAN,
    divide,
    remainder,
    round_half_up,
    shift_decimal,
)
from templates.dialect.state import RenderState
from templates.dialect.values import to_number


def _operand(state: RenderState, arguments: tuple[object, ...]) -> float:
    """Return the second number of an operation; without an argument the result is NaN."""
    return to_number(state, arguments[0]) if arguments else NAN


@liquid_filter("abs")
def absolute(state: RenderState, value: object) -> float:
    return abs(to_number(state, value))


@liquid_filter("at_least")
def at_least(state: RenderState, value: object, *others: object) -> float:
    return max(to_number(state, value), *(to_number(state, other) for other in others), -math.inf)


@liquid_filter("at_most")
def at_most(state: RenderState, value: object, *others: object) -> float:
    return min(to_number(state, value), *(to_number(state, other) for other in others), math.inf)


@liquid_filter("ceil")
def ceil(state: RenderState, value: object) -> float:
    number = to_number(state, value)
    return math.ceil(number) if math.isfinite(number) else number


@liquid_filter("floor")
def floor(state: RenderState, value: object) -> float:
    return _floor(to_number(state, value))


def _floor(number: float) -> float:
    return math.floor(number) if math.isfinite(number) else number


@liquid_filter("plus")
def plus(state: RenderState, value: object, *others: object) -> float:
    return to_number(state, value) + _operand(state, others)


@liquid_filter("minus")
def minus(state: RenderState, value: object, *others: object) -> float:
    return to_number(state, value) - _operand(state, others)


@liquid_filter("times")
def times(state: RenderState, value: object, *others: object) -> float:
    return to_number(state, value) * _operand(state, others)


@liquid_filter("divided_by")
def divided_by(state: RenderState, value: object, *others: object) -> float:
    """Divide; a second argument that is not 0 asks for the whole part."""
    quotient = divide(to_number(state, value), _operand(state, others))
    return _floor(quotient) if _is_whole_wanted(state, others[1:]) else quotient


def _is_whole_wanted(state: RenderState, arguments: tuple[object, ...]) -> bool:
    return bool(arguments) and to_number(state, arguments[0]) != 0


@liquid_filter("modulo")
def modulo(state: RenderState, value: object, *others: object) -> float:
    """Return the remainder with the sign of the divisor."""
    right = _operand(state, others)
    return remainder(remainder(to_number(state, value), right) + right, right)


@liquid_filter("round")
def round_to(state: RenderState, value: object, places: object = 0) -> float:
    """Round half away from zero, judging by the printed digits: 1.005 to two places is 1.01."""
    number, shift = to_number(state, value), to_number(state, places)
    scaled = shift_decimal(abs(number), shift)
    if not scaled <= MAX_SAFE_INTEGER:
        return number
    rounded = shift_decimal(round_half_up(scaled), -shift)
    return -rounded if number < 0 else rounded
