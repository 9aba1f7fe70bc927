"""Cuts a date written as text into the tokens that date_parsing.py reads."""

from dataclasses import dataclass
from typing import Final

from templates.dialect.unicode import SPACE

NUMBER: Final = "number"
WORD: Final = "word"
BLANK: Final = "blank"
OTHER: Final = "other"
END: Final = "end"
SYMBOLS: Final = ":-+.)"

_SIGNIFICANT_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is one of the names above, or the symbol itself."""

    kind: str
    text: str = ""
    number: int = 0

    def is_digits(self, count: int) -> bool:
        """Tell whether it is a number written with that many digits."""
        return self.kind == NUMBER and len(self.text) == count

    def is_word(self, word: str) -> bool:
        return self.kind == WORD and self.text.lower() == word


def tokens_of(text: str) -> list[Token]:
    """Return the tokens, an END token last."""
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        end = _end_of_token(text, position)
        tokens.append(_token(text[position], text[position:end]))
        position = end
    return [*tokens, Token(END)]


def _token(first: str, text: str) -> Token:
    if _is_digit(first):
        return Token(NUMBER, text, int(text.lstrip("0")[:_SIGNIFICANT_DIGITS] or 0))
    if first in SYMBOLS:
        return Token(first)
    if _is_letter(first):
        return Token(WORD, text)
    return Token(BLANK if first in SPACE else OTHER, text)


def _end_of_token(text: str, start: int) -> int:
    first = text[start]
    if first == "(":
        return _end_of_parentheses(text, start)
    belongs = next((test for test in (_is_digit, _is_letter, _is_space) if test(first)), None)
    end = start + 1
    while belongs is not None and end < len(text) and belongs(text[end]):
        end += 1
    return end


def _end_of_parentheses(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if depth == 0:
            return index + 1
    return len(text)


def _is_digit(char: str) -> bool:
    return "0" <= char <= "9"


def _is_letter(char: str) -> bool:
    return char >= "A" and char not in SPACE


def _is_space(char: str) -> bool:
    return char in SPACE
