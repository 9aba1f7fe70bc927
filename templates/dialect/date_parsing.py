"""Reads dates written as text, as `new Date(text)` does in V8: ISO 8601 first, then whatever people write.

Without a zone the time is taken as UTC, which is what a server's local time should be.
"""

from typing import Final

from templates.dialect.calendar import MAX_MILLISECONDS, MS_PER_DAY, MS_PER_MINUTE, days_from_civil
from templates.dialect.date_tokens import BLANK, END, NUMBER, OTHER, WORD, Token, tokens_of

MAX_DATE_CHARS: Final = 200

_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH_PREFIX: Final = 3
_ZONES: Final = {
    "z": 0,
    "ut": 0,
    "utc": 0,
    "gmt": 0,
    "cdt": -5,
    "cst": -6,
    "edt": -4,
    "est": -5,
    "mdt": -6,
    "mst": -7,
    "pdt": -7,
    "pst": -8,
}
_HALF_DAYS: Final = {"am": 0, "pm": 12}
_DAY_SLOTS: Final = 3
_TIME_SLOTS: Final = 4
_TIME_LIMITS: Final = (24, 60, 60, 1000)
_LAST_YEAR_OF_2000S: Final = 49
_LAST_SHORT_YEAR: Final = 99
_MAX_MONTH: Final = 12
_MAX_DAY: Final = 31
_HOURS_ON_A_CLOCK: Final = 12


def parse_date(text: str) -> float | None:
    """Return milliseconds since 1970, or None when the text is no date."""
    if len(text) > MAX_DATE_CHARS:
        return None
    reading = _Reading(tokens_of(text))
    if not reading.read_iso() and (reading.has_time_mark or not reading.read_freely()):
        return None
    return reading.milliseconds()


class _Reading:
    """One text being read: a cursor over its tokens, and the parts found so far."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._day: list[int] = []
        self._month: int | None = None
        self._time: list[int] = []
        self._half_day: int | None = None
        self._sign: int | None = None
        self._zone_hour: int | None = None
        self._zone_minute: int | None = None
        self._is_iso = False
        self.has_time_mark = False  # the T of ISO 8601; what has one is in ISO form or no date at all
        self._has_number = False

    # -- the cursor

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    def _next(self) -> Token:
        token = self._token
        self._position += token.kind != END
        return token

    def _skip(self, symbol: str) -> bool:
        is_there = self._token.kind == symbol
        self._position += is_there
        return is_there

    # -- ISO 8601

    def read_iso(self) -> bool:
        """Read a date in ISO form; what was read stays when the rest turns out to be something else."""
        if not self._read_iso_year():
            return False
        if self._skip("-"):
            if not self._read_iso_day_part(_MAX_MONTH):
                return False
            if self._skip("-") and not self._read_iso_day_part(_MAX_DAY):
                return False
        if self._token.is_word("t"):
            self._next()
            self.has_time_mark = True
            if not (self._read_iso_time() and self._read_iso_zone()):
                return False
        self._is_iso = self._token.kind == END
        return self._is_iso

    def _read_iso_year(self) -> bool:
        if self._token.is_digits(4):
            self._day.append(self._next().number)
            return True
        sign, year = self._token, self._tokens[min(self._position + 1, len(self._tokens) - 1)]
        if sign.kind not in "+-" or not year.is_digits(6):
            return False
        self._position += 2
        if sign.kind == "-" and year.number == 0:
            return False
        self._day.append(-year.number if sign.kind == "-" else year.number)
        return True

    def _read_iso_day_part(self, highest: int) -> bool:
        if not (self._token.is_digits(2) and 1 <= self._token.number <= highest):
            return False
        self._day.append(self._next().number)
        return True

    def _read_iso_time(self) -> bool:
        if not (self._read_iso_time_part(0) and self._skip(":") and self._read_iso_time_part(1)):
            return False
        return not self._skip(":") or (self._read_iso_time_part(2) and self._read_iso_fraction())

    def _read_iso_fraction(self) -> bool:
        if not self._skip("."):
            return True
        if self._token.kind != NUMBER or (self._is_midnight_24() and self._token.number):
            return False
        self._time.append(_thousandths(self._next()))
        return True

    def _read_iso_time_part(self, slot: int) -> bool:
        token = self._token
        highest = _TIME_LIMITS[0] if slot == 0 else _TIME_LIMITS[slot] - 1
        if self._is_midnight_24():
            highest = 0
        if not (token.is_digits(2) and token.number <= highest):
            return False
        self._time.append(self._next().number)
        return True

    def _is_midnight_24(self) -> bool:
        return self._time[:1] == [_TIME_LIMITS[0]]

    def _read_iso_zone(self) -> bool:
        if self._token.is_word("z"):
            self._next()
            self._set_zone(0)
        elif self._token.kind in "+-":
            return self._read_iso_offset(1 if self._next().kind == "+" else -1)
        return True

    def _read_iso_offset(self, sign: int) -> bool:
        self._sign = sign
        if self._token.is_digits(4):
            self._zone_hour, self._zone_minute = divmod(self._next().number, 100)
            return self._zone_hour < _TIME_LIMITS[0] and self._zone_minute < _TIME_LIMITS[1]
        if not (self._token.is_digits(2) and self._token.number < _TIME_LIMITS[0]):
            return False
        self._zone_hour = self._next().number
        if not (self._skip(":") and self._token.is_digits(2) and self._token.number < _TIME_LIMITS[1]):
            return False
        self._zone_minute = self._next().number
        return True

    # -- anything else

    def read_freely(self) -> bool:
        """Read the remaining tokens in whatever order they come. False when they make no sense."""
        self._has_number = bool(self._day)
        while self._token.kind != END:
            token = self._next()
            if token.kind == NUMBER:
                self._has_number = True
                is_good = self._take_number(token)
            elif token.kind == WORD:
                is_good = self._take_word(token)
            elif token.kind in "+-" and (self._is_utc() or self._time):
                is_good = self._take_offset(1 if token.kind == "+" else -1)
            else:
                is_good = token.kind in {BLANK, OTHER, ".", ":"} or not self._has_number
            if not is_good:
                return False
        return True

    def _take_number(self, token: Token) -> bool:
        if self._skip(":"):
            return self._take_time_before_colon(token)
        if self._token.kind == "." and self._expects_time(token.number):
            return self._take_seconds_before_point(token)
        if self._zone_hour is not None and self._zone_minute is None and token.number < _TIME_LIMITS[1]:
            self._zone_minute = token.number
            return True
        if self._expects_time(token.number):
            self._finish_time(token.number)
            return self._token.kind in {END, BLANK, "+", "-"} or self._token.is_word("z")
        return self._take_day_part(token)

    def _take_day_part(self, token: Token) -> bool:
        self._skip(".")
        if len(self._day) == _DAY_SLOTS:
            return False
        self._day.append(token.number)
        self._skip("-")
        return True

    def _take_seconds_before_point(self, token: Token) -> bool:
        self._next()
        self._time.append(token.number)
        return self._token.kind == NUMBER and self._finish_time(_thousandths(self._next()))

    def _take_time_before_colon(self, token: Token) -> bool:
        if self._skip(":"):
            if self._time:
                return False
            self._time += [token.number, 0]
            return True
        if len(self._time) == _TIME_SLOTS:
            return False
        self._time.append(token.number)
        self._skip(".")
        return True

    def _expects_time(self, number: int) -> bool:
        slot = len(self._time)
        return 0 < slot < _TIME_SLOTS and number < _TIME_LIMITS[slot]

    def _finish_time(self, number: int) -> bool:
        self._time.append(number)
        self._time += [0] * (_TIME_SLOTS - len(self._time))
        return True

    def _take_word(self, token: Token) -> bool:
        word = token.text.lower()
        if word in _HALF_DAYS and self._time:
            self._half_day = _HALF_DAYS[word]
        elif word[:_MONTH_PREFIX] in _MONTHS:
            self._month = _MONTHS.index(word[:_MONTH_PREFIX]) + 1
            self._skip("-")
        elif word in _ZONES and self._has_number:
            self._set_zone(_ZONES[word])
        else:
            # Words that mean nothing may only stand before the first number, and apart from it.
            return not self._has_number and self._token.kind != NUMBER
        return True

    def _take_offset(self, sign: int) -> bool:
        self._sign = sign
        self._has_number = True
        token = self._next() if self._token.kind == NUMBER else Token(NUMBER)
        if self._token.kind == ":":
            self._zone_hour, self._zone_minute = token.number, None
        elif len(token.text) in {1, 2}:
            self._zone_hour, self._zone_minute = token.number, 0
        elif len(token.text) in {3, 4}:
            self._zone_hour, self._zone_minute = divmod(token.number, 100)
        else:
            return False
        return True

    def _set_zone(self, hours: int) -> None:
        self._sign = -1 if hours < 0 else 1
        self._zone_hour, self._zone_minute = abs(hours), 0

    def _is_utc(self) -> bool:
        return self._zone_hour == 0 and self._zone_minute == 0

    # -- the sum of it

    def milliseconds(self) -> float | None:
        """Put the parts together; None when they are not a date."""
        date, time = self._date(), self._time_of_day()
        if date is None or time is None:
            return None
        total = days_from_civil(*date) * MS_PER_DAY + time
        if self._sign is not None:
            minutes = (self._zone_hour or 0) * 60 + (self._zone_minute or 0)
            total -= self._sign * minutes * MS_PER_MINUTE
        return total if abs(total) <= MAX_MILLISECONDS else None

    def _date(self) -> tuple[int, int, int] | None:
        if not self._day:
            return None
        first, second, third = [*self._day, 1, 1][:_DAY_SLOTS]
        is_day_first = 1 <= first <= _MAX_DAY
        if self._month is not None:
            year, month, day = (second, self._month, first) if is_day_first else (first, self._month, second)
        elif self._is_iso or not is_day_first:
            year, month, day = first, second, third
        else:
            year, month, day = third, first, second
        if not (1 <= month <= _MAX_MONTH and 1 <= day <= _MAX_DAY):
            return None
        return (year if self._is_iso else _full_year(year)), month, day

    def _time_of_day(self) -> int | None:
        hour, minute, second, thousandth = (self._time + [0] * _TIME_SLOTS)[:_TIME_SLOTS]
        if self._half_day is not None:
            if hour > _HOURS_ON_A_CLOCK:
                return None
            hour = hour % _HOURS_ON_A_CLOCK + self._half_day
        parts = (hour, minute, second, thousandth)
        is_in_range = all(part < limit for part, limit in zip(parts, _TIME_LIMITS, strict=True))
        if not is_in_range and parts != (_TIME_LIMITS[0], 0, 0, 0):
            return None
        return ((hour * 60 + minute) * 60 + second) * 1000 + thousandth


def _full_year(year: int) -> int:
    if 0 <= year <= _LAST_YEAR_OF_2000S:
        return year + 2000
    return year + 1900 if 0 <= year <= _LAST_SHORT_YEAR else year


def _thousandths(token: Token) -> int:
    """Read the digits after a point as milliseconds; further digits are dropped."""
    return int(token.text[:3].ljust(3, "0"))
