"""How long a delay lasts."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.durations import LONGEST_DELAY, DurationInvalid, checked_delay, parse_duration

NOT_ISO = "This is not an ISO 8601 duration such as PT30M, PT24H or P7D."
NO_CALENDAR = "Years and months have no fixed length; write days, such as P30D."
NEGATIVE = "A delay can't be negative."
TOO_LONG = "A delay can't be longer than 3660 days."
TOO_FINE = "A delay is given in whole milliseconds."


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT24H", timedelta(hours=24)),
        ("PT36H", timedelta(hours=36)),
        ("P7D", timedelta(days=7)),
        ("P1W", timedelta(weeks=1)),
        ("PT30M", timedelta(minutes=30)),
        ("PT90S", timedelta(seconds=90)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT0,5S", timedelta(milliseconds=500)),
        ("PT0.001S", timedelta(milliseconds=1)),
        ("PT0.0010S", timedelta(milliseconds=1)),
        ("PT0.5H", timedelta(minutes=30)),
        ("P0.5D", timedelta(hours=12)),
        ("P1DT30M", timedelta(days=1, minutes=30)),
        ("P1DT2H3M4.005S", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("PT0S", timedelta(0)),
        ("P0D", timedelta(0)),
        ("P3660D", timedelta(days=3660)),
    ],
)
def test_an_iso_8601_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", NOT_ISO),
        ("P", NOT_ISO),
        ("PT", NOT_ISO),
        ("P1DT", NOT_ISO),
        ("P1DT\n", NOT_ISO),
        ("PT24H\n", NOT_ISO),
        (" PT24H", NOT_ISO),
        ("PT24H ", NOT_ISO),
        ("pt24h", NOT_ISO),
        ("24H", NOT_ISO),
        ("24 hours", NOT_ISO),
        ("86400", NOT_ISO),
        ("PT1D", NOT_ISO),
        ("P1H", NOT_ISO),
        ("P1DT5", NOT_ISO),
        ("PTS", NOT_ISO),
        ("PT.5S", NOT_ISO),
        ("PT1e3S", NOT_ISO),
        ("PT1M1H", NOT_ISO),
        ("PT1H1H", NOT_ISO),
        ("P-1D", NOT_ISO),
        ("--P1D", NOT_ISO),
        ("P\u0661D", NOT_ISO),
        ("P²D", NOT_ISO),
        ("P1D\x00", NOT_ISO),
        ("P1D/P1D", NOT_ISO),
        ("2025-03-01T12:00:00Z", NOT_ISO),
        ("P99999999999999D", NOT_ISO),
        ("PT" + "9" * 400 + "S", NOT_ISO),
        ("P" + "9" * 100_000 + "D", NOT_ISO),
        ("P" * 100_000, NOT_ISO),
        ("P1D" * 100_000, NOT_ISO),
        ("-P1D", NEGATIVE),
        ("-PT0.5S", NEGATIVE),
        ("P1M", NO_CALENDAR),
        ("P1Y", NO_CALENDAR),
        ("P1Y2M", NO_CALENDAR),
        ("P1Y2M3DT4H", NO_CALENDAR),
        ("P0.5Y", NO_CALENDAR),
        ("P99999D", TOO_LONG),
        ("P3661D", TOO_LONG),
        ("P3660DT0.001S", TOO_LONG),
        ("PT1.0001S", TOO_FINE),
        ("PT0.0005S", TOO_FINE),
        ("P0.0000001D", TOO_FINE),
    ],
    ids=lambda value: value[:20],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(DurationInvalid) as refused:
        parse_duration(text)

    assert str(refused.value) == message


@pytest.mark.parametrize("text", ["PT0.0000001S", "PT1.00000049S"])
def test_less_than_a_microsecond_is_refused_as_well(text: str) -> None:
    with pytest.raises(DurationInvalid):
        parse_duration(text)


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(milliseconds=1), LONGEST_DELAY])
def test_a_delay_within_the_bounds_is_returned(delay: timedelta) -> None:
    assert checked_delay(delay) == delay


@pytest.mark.parametrize(
    ("delay", "message"),
    [
        (timedelta(milliseconds=-1), NEGATIVE),
        (timedelta.min, NEGATIVE),
        (LONGEST_DELAY + timedelta(milliseconds=1), TOO_LONG),
        (timedelta.max, TOO_LONG),
        (timedelta(microseconds=1), TOO_FINE),
        (timedelta(seconds=1, microseconds=999), TOO_FINE),
    ],
)
def test_a_delay_outside_of_them_is_refused(delay: timedelta, message: str) -> None:
    with pytest.raises(DurationInvalid) as refused:
        checked_delay(delay)

    assert str(refused.value) == message


almost_durations = st.from_regex(r"[+-]?P([0-9]{1,12}([.,][0-9]{1,9})?[YMWDTHS]?T?){0,6}\s?", fullmatch=True)


@given(st.text(st.characters()) | almost_durations)
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        duration = parse_duration(text)
    except DurationInvalid:
        return
    assert timedelta(0) <= duration <= LONGEST_DELAY
    assert duration % timedelta(milliseconds=1) == timedelta(0)


@given(st.integers(0, 3659), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59_999))
def test_what_is_written_is_read(days: int, hours: int, minutes: int, milliseconds: int) -> None:
    text = f"P{days}DT{hours}H{minutes}M{milliseconds // 1000}.{milliseconds % 1000:03}S"

    assert parse_duration(text) == timedelta(days=days, hours=hours, minutes=minutes, milliseconds=milliseconds)
