"""JavaScript's numbers: doubles, how they are read from text and how they are printed."""

import math
import re

from templates.dialect.unicode import SPACE

NAN = math.nan
MAX_SAFE_INTEGER = 2**53 - 1
EXACT_INTEGER_BITS = 64  # ids of 64 bits print exactly, though a double could not hold them
MAX_PLAIN_EXPONENT = 21  # from 1e21 on, JavaScript prints an exponent
MIN_PLAIN_EXPONENT = -6
HALF = 0.5

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITE = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
_RADIX = {"0x": 16, "0o": 8, "0b": 2}
_RADIX_DIGITS = {
    16: re.compile(r"[0-9a-fA-F]+"),
    8: re.compile(r"[0-7]+"),
    2: re.compile(r"[01]+"),
}


def to_float(number: float) -> float:
    """Return the double nearest to a number of any size."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def text_to_number(text: str) -> float:
    """Read a text as JavaScript's `Number()` does: blank is 0, anything that is not a numeral is NaN."""
    text = text.strip(SPACE)
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    radix = _RADIX.get(text[:2].lower())
    if radix is not None and _RADIX_DIGITS[radix].fullmatch(text, 2):
        return to_float(int(text[2:], radix))
    return _INFINITE.get(text, NAN)


def number_to_text(number: float) -> str:
    """Print a number as JavaScript does; integers up to 64 bits print exactly."""
    if isinstance(number, int):
        if number.bit_length() <= EXACT_INTEGER_BITS:
            return str(number)
        number = to_float(number)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) <= MAX_SAFE_INTEGER:
        return str(int(number))
    return ("-" if number < 0 else "") + _positive_to_text(abs(number))


def _positive_to_text(number: float) -> str:
    mantissa, _, power = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(power or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if len(digits) <= point <= MAX_PLAIN_EXPONENT:
        return digits.ljust(point, "0")
    if 0 < point <= MAX_PLAIN_EXPONENT:
        return f"{digits[:point]}.{digits[point:]}"
    if MIN_PLAIN_EXPONENT < point <= 0:
        return "0." + "0" * -point + digits
    exponent = f"e{point - 1:+d}"
    return digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + exponent


def divide(dividend: float, divisor: float) -> float:
    """Divide without ever raising: by zero gives an infinity or NaN."""
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend):
        return NAN
    sign = math.copysign(1.0, dividend) * math.copysign(1.0, divisor)
    return math.copysign(math.inf, sign)


def remainder(dividend: float, divisor: float) -> float:
    """Return JavaScript's `%`, which has the sign of the dividend."""
    if not divisor or not math.isfinite(dividend) or math.isnan(divisor):
        return NAN
    return math.fmod(dividend, divisor)


def round_half_up(number: float) -> float:
    """Round to the nearest integer, halves towards positive infinity, as `Math.round` does."""
    if not math.isfinite(number):
        return number
    floor = math.floor(number)
    return to_float(floor + (number - floor >= HALF))


def shift_decimal(number: float, places: float) -> float:
    """Move the decimal point in the printed number, so that 1.005 shifted by 2 is 100.5 and not a hair less."""
    mantissa, _, power = number_to_text(number).partition("e")
    return text_to_number(f"{mantissa}e{number_to_text(to_float(int(power or 0) + places))}")
