"""The pause a provider asks for in a Retry-After header; pure."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Beyond this a header is a mistake, and a larger number would not fit a timedelta. How long to wait in the
# end is the retry policy's affair.
LONGEST_PAUSE = timedelta(days=365)
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def parse_retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header: seconds or an HTTP date (RFC 9110, 10.2.3).

    `now` is an aware time. A date in the past means no pause. Returns None when there is no header or it says
    nothing that can be read.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=min(float(text), LONGEST_PAUSE.total_seconds()))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # the asctime form carries no zone and means UTC
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta(0)), LONGEST_PAUSE)
