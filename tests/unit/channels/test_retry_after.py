"""Retry-After headers as they come."""

from datetime import UTC, datetime, timedelta

import pytest

from channels.retry_after import LONGEST_PAUSE, parse_retry_after

NOW = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("0", timedelta(0)),
        ("7", timedelta(seconds=7)),
        (" 120 ", timedelta(minutes=2)),
        ("1.5", timedelta(seconds=1.5)),
        ("Sat, 01 Mar 2025 12:00:30 GMT", timedelta(seconds=30)),
        ("Saturday, 01-Mar-25 12:00:30 GMT", timedelta(seconds=30)),
        ("Sat Mar  1 12:00:30 2025", timedelta(seconds=30)),
        ("Sat, 01 Mar 2025 13:00:30 +0100", timedelta(seconds=30)),
        ("Sat, 01 Mar 2025 11:00:00 GMT", timedelta(0)),
        ("999999999999999999", LONGEST_PAUSE),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("\u0663", None),
        ("Sat, 99 Mar 2025 12:00:30 GMT", None),
    ],
)
def test_parse_retry_after(header: str | None, pause: timedelta | None) -> None:
    assert parse_retry_after(header, now=NOW) == pause
