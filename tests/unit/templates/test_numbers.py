"""Numbers as JavaScript reads and prints them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.dialect.numbers import number_to_text, remainder, text_to_number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "100000000000000000000"),
        (1.2345678901234567e20, "123456789012345670000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"),
        (123456.789, "123456.789"),
        (2**53 + 1, "9007199254740993"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (5e-324, "5e-324"),
    ],
)
def test_prints(number: float, text: str) -> None:
    assert number_to_text(number) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0.0),
        (" \n\ufeff12 ", 12.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1e3", -1000.0),
        ("0x1F", 31.0),
        ("0b101", 5.0),
        ("0o17", 15.0),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("1e999", math.inf),
    ],
)
def test_reads(text: str, number: float) -> None:
    assert text_to_number(text) == number


@pytest.mark.parametrize("text", ["a", "1a", "1_000", "--1", "0x", "-0x1", "inf", "nan", "\u0661", "1 2", "."])
def test_reads_anything_else_as_nan(text: str) -> None:
    assert math.isnan(text_to_number(text))


@given(st.floats(allow_nan=False))
def test_what_is_printed_reads_the_same(number: float) -> None:
    assert text_to_number(number_to_text(number)) == number


def test_a_remainder_has_the_sign_of_the_dividend() -> None:
    assert (remainder(-7, 3), remainder(7, -3), remainder(7, math.inf)) == (-1, 1, 7)
