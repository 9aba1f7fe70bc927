"""The proleptic Gregorian calendar over JavaScript's whole range of dates, which is wider than Python's."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

MAX_MILLISECONDS: Final = 8.64e15
MS_PER_SECOND: Final = 1000
MS_PER_MINUTE: Final = 60_000
MS_PER_DAY: Final = 86_400_000
_EPOCH_WEEKDAY: Final = 4  # 1970-01-01 was a Thursday
# The calendar repeats every 400 years; counting years from March puts the leap day last.
_DAYS_PER_ERA: Final = 146_097
_EPOCH_IN_ERAS: Final = 719_468


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date; a day past the end of its month runs into the next."""
    year -= month <= 2  # noqa: PLR2004 - January and February belong to the year before
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_PER_ERA + day_of_era - _EPOCH_IN_ERAS


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the date that many days after 1970-01-01."""
    era, day_of_era = divmod(days + _EPOCH_IN_ERAS, _DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = (shifted_month + 2) % 12 + 1
    return year_of_era + era * 400 + (month <= 2), month, day  # noqa: PLR2004 - as above


@dataclass(frozen=True)
class Moment:
    """A moment as a clock on a wall shows it. `offset_minutes` is JavaScript's: what to add to get UTC."""

    milliseconds: int
    offset_minutes: float = 0
    zone_name: str = ""

    @classmethod
    def at(cls, milliseconds: float, *, offset_minutes: float = 0, zone_name: str = "") -> "Moment | None":
        """Return the moment that many milliseconds after 1970, or None when JavaScript has no such date."""
        shifted = milliseconds - offset_minutes * MS_PER_MINUTE
        if not (abs(milliseconds) <= MAX_MILLISECONDS and abs(shifted) <= MAX_MILLISECONDS):
            return None
        return cls(math.trunc(milliseconds), offset_minutes, zone_name)

    @cached_property
    def _shown(self) -> tuple[int, int]:
        return divmod(self.milliseconds - math.trunc(self.offset_minutes * MS_PER_MINUTE), MS_PER_DAY)

    @cached_property
    def date(self) -> tuple[int, int, int]:
        """Year, month and day of the month."""
        return civil_from_days(self._shown[0])

    @property
    def weekday(self) -> int:
        """0 for Sunday."""
        return (self._shown[0] + _EPOCH_WEEKDAY) % 7

    @property
    def day_of_year(self) -> int:
        """1 for the first of January."""
        return self._shown[0] - days_from_civil(self.date[0], 1, 1) + 1

    @property
    def hour(self) -> int:
        return self._shown[1] // 3_600_000

    @property
    def minute(self) -> int:
        return self._shown[1] // MS_PER_MINUTE % 60

    @property
    def second(self) -> int:
        return self._shown[1] // MS_PER_SECOND % 60

    @property
    def millisecond(self) -> int:
        return self._shown[1] % MS_PER_SECOND

    def week_of_year(self, first_weekday: int) -> int:
        """Return the week, counting from the first `first_weekday` of the year; the days before are week 0."""
        return (self.day_of_year - 1 - (self.weekday - first_weekday) % 7 + 7) // 7
