"""Until when a message may be sent, by its trigger's `expires_at` and its node's time to live. Pure."""

from datetime import datetime, timedelta

from execution.engine import Ready

# The error code of what was dropped because it was late: steps, triggers and dead letters are counted by it.
EXPIRED = "expired"


def send_by(ready: Ready, *, expires_at: datetime | None, ttl: timedelta | None) -> datetime | None:
    """Return the moment from which on a ready node must not be sent any more, or None when there is none."""
    moments = [expires_at, None if ttl is None else ready.first_at + ttl]
    return min((moment for moment in moments if moment is not None), default=None)


def is_past(moment: datetime | None, at: datetime) -> bool:
    """Say whether it is too late at `at`; the moment itself is too late."""
    return moment is not None and at >= moment


def dropped(moment: datetime, *, is_in_doubt: bool = False) -> str:
    """Say what was not sent, and why."""
    words = f"Not sent: its time was over at {_shown(moment)}."
    return f"{words} An attempt before may have been sent, its outcome is unknown." if is_in_doubt else words


def not_again(moment: datetime, *, retry_at: datetime) -> str:
    """Say why there is no further attempt."""
    return f"Not tried again: that would be at {_shown(retry_at)}, and its time is over at {_shown(moment)}."


def _shown(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
