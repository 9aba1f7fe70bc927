"""How long a delay lasts: ISO 8601 durations and milliseconds. Pure."""

import re
from datetime import timedelta

import isodate

LONGEST_DELAY = timedelta(days=3660)
TOO_FINE = "A delay is given in whole milliseconds."
FINER_THAN_MILLISECONDS = re.compile(r"[.,]\d{3}\d*[1-9]\d*S$")


class DurationInvalid(ValueError):
    """The duration can't be used; the message says why, for whoever wrote it."""


def parse_duration(text: str) -> timedelta:
    """Read an ISO 8601 duration such as `PT24H` or `P1DT30M`, in whole milliseconds.

    Raises DurationInvalid for anything else: also for years and months, which have no fixed length
    (ISO 8601-1, 5.5.2.2 leaves their length to the calendar date they start from), and for negative ones.
    """
    # isodate reads "P", "PT" and "P1DT" as durations, where the standard wants a number after each designator, and
    # overlooks a line break at the end.
    if not any(character.isdigit() for character in text) or text.endswith(("T", "\n")):
        raise DurationInvalid("This is not an ISO 8601 duration such as PT30M, PT24H or P7D.")
    try:
        duration = isodate.parse_duration(text)
    except (isodate.ISO8601Error, ValueError, OverflowError, ArithmeticError):
        raise DurationInvalid("This is not an ISO 8601 duration such as PT30M, PT24H or P7D.") from None
    if isinstance(duration, isodate.Duration):
        raise DurationInvalid("Years and months have no fixed length; write days, such as P30D.")
    if FINER_THAN_MILLISECONDS.search(text):
        # timedelta has rounded to microseconds by now, perhaps to a whole number of milliseconds.
        raise DurationInvalid(TOO_FINE)
    return checked_delay(duration)


def checked_delay(delay: timedelta) -> timedelta:
    """Return `delay` when a delay may last that long. Raises DurationInvalid otherwise."""
    if delay < timedelta(0):
        raise DurationInvalid("A delay can't be negative.")
    if delay > LONGEST_DELAY:
        raise DurationInvalid(f"A delay can't be longer than {LONGEST_DELAY.days} days.")
    if delay.microseconds % 1000:
        raise DurationInvalid(TOO_FINE)
    return delay
