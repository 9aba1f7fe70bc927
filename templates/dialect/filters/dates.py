"""Filters that print dates."""

import time

from templates.dialect.calendar import Moment
from templates.dialect.date_parsing import parse_date
from templates.dialect.filter_registry import liquid_filter
from templates.dialect.state import RenderState
from templates.dialect.strftime import strftime
from templates.dialect.values import (
    UNDEFINED,
    coerce_number,
    is_nil,
    is_number,
    stringify,
    to_plain,
    to_text,
)
from templates.dialect.zones import offset_of
from templates.errors import RenderError

MILLISECONDS = 1000


@liquid_filter("date")
def date(state: RenderState, value: object, pattern: object = UNDEFINED, zone: object = UNDEFINED) -> object:
    """Print a date as the pattern says; what is no date stays as it is.

    The pattern is required: the reference that this dialect is checked against was recorded without a default.
    """
    moment = _moment(state, value, zone)
    if moment is None:
        return value
    pattern = to_plain(pattern)
    if is_nil(pattern):
        raise RenderError("date needs a format, such as '%Y-%m-%d'")
    return strftime(state, moment, stringify(state, pattern))


@liquid_filter("date_to_xmlschema")
def date_to_xmlschema(state: RenderState, value: object) -> object:
    return _printed(state, value, "%Y-%m-%dT%H:%M:%S%:z")


@liquid_filter("date_to_rfc822")
def date_to_rfc822(state: RenderState, value: object) -> object:
    return _printed(state, value, "%a, %d %b %Y %H:%M:%S %z")


@liquid_filter("date_to_string")
def date_to_string(state: RenderState, value: object, kind: object = UNDEFINED, style: object = UNDEFINED) -> object:
    return _printed(state, value, _words("%b", kind, style))


@liquid_filter("date_to_long_string")
def date_to_long_string(
    state: RenderState, value: object, kind: object = UNDEFINED, style: object = UNDEFINED
) -> object:
    return _printed(state, value, _words("%B", kind, style))


def _words(month: str, kind: object, style: object) -> str:
    if kind != "ordinal":
        return f"%d {month} %Y"
    return f"{month} %-d%q, %Y" if style == "US" else f"%-d%q {month} %Y"


def _printed(state: RenderState, value: object, pattern: str) -> object:
    moment = _moment(state, value, UNDEFINED)
    return value if moment is None else strftime(state, moment, pattern)


def _moment(state: RenderState, value: object, zone: object) -> Moment | None:
    """Return the moment a value names, or None; numbers and texts of digits are seconds since 1970."""
    value = to_plain(value)
    milliseconds = None if is_nil(value) else _milliseconds(state, value)
    if milliseconds is None:
        return None
    moment = Moment.at(milliseconds)
    if moment is None or is_nil(zone):
        return moment
    name = zone if isinstance(zone, str) else ""
    minutes = offset_of(name, milliseconds) if name else coerce_number(state, zone)
    return Moment.at(milliseconds, offset_minutes=minutes, zone_name=name)


def _milliseconds(state: RenderState, value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if is_number(value):
        return coerce_number(state, value) * MILLISECONDS
    text = to_text(state, value)
    state.charge(len(text))
    if value in ("now", "today"):
        return time.time() * MILLISECONDS
    if isinstance(value, str) and text.isascii() and text.isdigit():
        return coerce_number(state, text) * MILLISECONDS
    return parse_date(text)
