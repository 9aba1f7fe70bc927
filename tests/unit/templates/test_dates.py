"""Dates: reading whatever people write, and a calendar wider than Python's."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.dialect.calendar import civil_from_days, days_from_civil
from templates.dialect.date_parsing import parse_date
from templates.rendering import render

EPOCH = date(1970, 1, 1)


def test_the_calendar_agrees_with_pythons() -> None:
    """The calendar repeats every 400 years, so these are all the days there are."""
    for days in range(-146_097, 1):
        day = EPOCH + timedelta(days)

        assert civil_from_days(days) == (day.year, day.month, day.day)
        assert days_from_civil(day.year, day.month, day.day) == days


@given(st.integers(min_value=-100_000_000, max_value=100_000_000))
def test_the_calendar_goes_there_and_back(days: int) -> None:
    assert days_from_civil(*civil_from_days(days)) == days


@given(st.dates())
def test_patterns_agree_with_pythons(day: date) -> None:
    pattern = "%a %A %b %B %d %m %j %U %W %w %u"
    seconds = (day - EPOCH).total_seconds()

    assert render(f"{{{{ at | date: '{pattern}' }}}}", {"at": seconds}).text == day.strftime(pattern)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-03-05", "2026-03-05 00:00:00"),
        ("2026-03", "2026-03-01 00:00:00"),
        ("2026-03-05T14:07", "2026-03-05 14:07:00"),
        ("2026-03-05T14:07:09.5Z", "2026-03-05 14:07:09"),
        ("2026-03-05T14:07:09+02:00", "2026-03-05 12:07:09"),
        ("2026-03-05T14:07:09-0530", "2026-03-05 19:37:09"),
        ("2026-03-05 14:07:09", "2026-03-05 14:07:09"),
        ("2026-03-05T24:00", "2026-03-06 00:00:00"),
        ("2026-02-31", "2026-03-03 00:00:00"),
        ("March 5, 2026 2:07 PM", "2026-03-05 14:07:00"),
        ("5 mar 2026 12:30 am", "2026-03-05 00:30:00"),
        ("Thu, 05 Mar 2026 14:07:09 GMT", "2026-03-05 14:07:09"),
        ("Thu Mar 05 2026 14:07:09 GMT+0100 (CET)", "2026-03-05 13:07:09"),
        ("3/5/26", "2026-03-05 00:00:00"),
        ("1/1/50", "1950-01-01 00:00:00"),
        ("2026-03-05 14:07 EST", "2026-03-05 19:07:00"),
        ("+012026-01-01", "12026-01-01 00:00:00"),
    ],
)
def test_reads(text: str, iso: str) -> None:
    assert render(f"{{{{ '{text}' | date: '%Y-%m-%d %H:%M:%S' }}}}", {}).text == iso


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "",
        "2026-13-01",
        "2026-03-05T",
        "2026-03-05T25:00",
        "99:99",
        "13 PM",
        "2026-03-05x",
        "2026-03-05" + " " * 200,
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None


def test_zones_know_summer_time() -> None:
    source = "{{ at | date: '%H:%M %z %Z', 'Europe/Berlin' }}"

    assert render(source, {"at": "2026-01-15T12:00:00Z"}).text == "13:00 +0100 Europe/Berlin"
    assert render(source, {"at": "2026-07-15T12:00:00Z"}).text == "14:00 +0200 Europe/Berlin"


@pytest.mark.parametrize("seconds", [1e300, -1e300, 8.64e12 + 1, float("nan"), float("inf")])
def test_a_moment_javascript_does_not_have_stays_a_number(seconds: float) -> None:
    assert render("{{ at | date: '%Y' }}", {"at": seconds}).text == render("{{ at }}", {"at": seconds}).text
