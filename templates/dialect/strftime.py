"""Prints dates by the pattern letters of LiquidJS, which are close to Ruby's."""

import re
from collections.abc import Callable
from typing import Final

from templates.dialect.calendar import MS_PER_SECOND, Moment
from templates.dialect.state import RenderState
from templates.errors import LimitExceededError

MAX_WIDTH_DIGITS: Final = 6
_NOON: Final = 12
_DIRECTIVE: Final = re.compile(r"%([-_0^#:]+)?([0-9]+)?([EO])?([^\n\r\u2028\u2029])")
_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ORDINALS: Final = {1: "st", 2: "nd", 3: "rd"}
_TEENS: Final = frozenset({11, 12, 13})
_WIDTHS: Final = dict.fromkeys("CdeHIklmMSUWy", 2) | {"j": 3, "L": 3, "Y": 4}
_SPACE_PADDED: Final = frozenset("aAbBceklpP")


def _hour12(moment: Moment) -> int:
    return moment.hour % _NOON or _NOON


def _clock(moment: Moment) -> str:
    half = "AM" if moment.hour < _NOON else "PM"
    return f"{_hour12(moment)}:{moment.minute:02}:{moment.second:02} {half}"


def _american_date(moment: Moment) -> str:
    year, month, day = moment.date
    return f"{month}/{day}/{year}"


def _ordinal(moment: Moment) -> str:
    day = moment.date[2]
    return "th" if day in _TEENS else _ORDINALS.get(day % 10, "th")


def _offset(moment: Moment, separator: str = "") -> str:
    hours, minutes = divmod(int(abs(moment.offset_minutes)), 60)
    return f"{'-' if moment.offset_minutes > 0 else '+'}{hours:02}{separator}{minutes:02}"


_CONVERSIONS: Final[dict[str, Callable[[Moment], object]]] = {
    "a": lambda moment: _WEEKDAYS[moment.weekday][:3],
    "A": lambda moment: _WEEKDAYS[moment.weekday],
    "b": lambda moment: _MONTHS[moment.date[1] - 1][:3],
    "h": lambda moment: _MONTHS[moment.date[1] - 1][:3],
    "B": lambda moment: _MONTHS[moment.date[1] - 1],
    "c": lambda moment: f"{_american_date(moment)}, {_clock(moment)}",
    "C": lambda moment: moment.date[0] // 100,
    "d": lambda moment: moment.date[2],
    "e": lambda moment: moment.date[2],
    "H": lambda moment: moment.hour,
    "I": _hour12,
    "j": lambda moment: moment.day_of_year,
    "k": lambda moment: moment.hour,
    "l": _hour12,
    "L": lambda moment: moment.millisecond,
    "m": lambda moment: moment.date[1],
    "M": lambda moment: moment.minute,
    "p": lambda moment: "AM" if moment.hour < _NOON else "PM",
    "P": lambda moment: "am" if moment.hour < _NOON else "pm",
    "q": _ordinal,
    "s": lambda moment: moment.milliseconds // MS_PER_SECOND,
    "S": lambda moment: moment.second,
    "u": lambda moment: moment.weekday or 7,
    "U": lambda moment: moment.week_of_year(0),
    "w": lambda moment: moment.weekday,
    "W": lambda moment: moment.week_of_year(1),
    "x": _american_date,
    "X": _clock,
    "y": lambda moment: moment.date[0] % 100,
    "Y": lambda moment: moment.date[0],
    "t": lambda _moment: "\t",
    "n": lambda _moment: "\n",
    "%": lambda _moment: "%",
}


def strftime(state: RenderState, moment: Moment, pattern: str) -> str:
    """Replace the directives in a pattern; unknown ones stay as they are."""
    state.charge_text(len(pattern))
    length = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal length
        text = _directive(state, moment, match)
        length += len(text)
        state.charge_text(length)
        return text

    return _DIRECTIVE.sub(replace, pattern)


def _directive(state: RenderState, moment: Moment, match: re.Match[str]) -> str:
    flags, width_text, letter = match[1] or "", match[2] or "", match[4]
    if len(width_text.lstrip("0")) > MAX_WIDTH_DIGITS:
        raise LimitExceededError("a date's pattern asks for too wide a field")
    width = int(width_text or 0)
    state.charge_text(width)
    text = _convert(moment, letter, flags, width)
    if text is None:
        return match[0]
    if "^" in flags:
        text = text.upper()
    elif "#" in flags:
        text = text.upper() if any("a" <= char <= "z" for char in text) else text.lower()
    return _padded(text, letter, flags, width)


def _convert(moment: Moment, letter: str, flags: str, width: int) -> str | None:
    if letter == "N":
        width = width or 9
        return f"{moment.millisecond:03}"[:width].ljust(width, "0")
    if letter == "z" or (letter == "Z" and not moment.zone_name):
        return _offset(moment, ":" if ":" in flags else "")
    if letter == "Z":
        return moment.zone_name
    conversion = _CONVERSIONS.get(letter)
    return None if conversion is None else str(conversion(moment))


def _padded(text: str, letter: str, flags: str, width: int) -> str:
    width = 0 if "-" in flags else width or _WIDTHS.get(letter, 0)
    filler = " " if letter in _SPACE_PADDED else "0"
    if "_" in flags:
        filler = " "
    elif "0" in flags:
        filler = "0"
    if filler == "0" and text.startswith("-"):
        return "-" + text[1:].rjust(width - 1, filler)
    return text.rjust(width, filler)
