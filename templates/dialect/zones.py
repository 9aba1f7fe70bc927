"""Names of time zones, as the `date` filter takes them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from templates.errors import RenderError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_PER_MINUTE = 60


def offset_of(name: str, milliseconds: float) -> float:
    """Return the minutes to add to that zone's time to get UTC, at that moment.

    Raises RenderError when there is no such zone. Years that Python cannot count take the offset of 1970.
    """
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RenderError(f"there is no time zone {name[:64]!r}") from error
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
        offset = moment.astimezone(zone).utcoffset()
    except OverflowError:
        offset = _EPOCH.astimezone(zone).utcoffset()
    return 0.0 if offset is None else -(offset.total_seconds() // _SECONDS_PER_MINUTE)
