"""Filters that work on one text."""

import math
import re
from typing import Final

from templates.dialect.filter_registry import liquid_filter
from templates.dialect.state import RenderState
from templates.dialect.unicode import SPACE, utf16_units
from templates.dialect.values import (
    UNDEFINED,
    coerce_number,
    is_js_falsy,
    join,
    stringify,
    to_array,
    to_text,
)
from templates.errors import RenderError

_SPACES: Final = re.compile(f"[{SPACE}]+")
_CJK: Final = "\u4e00-\u9fff\uf900-\ufaff\u3400-\u4dbf\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af"
_CJK_CHARACTER: Final = re.compile(f"[{_CJK}]")
_OTHER_WORD: Final = re.compile(f"[^{_CJK}{SPACE}]+")
_LINE_END: Final = re.compile(r"\r?\n")


def text_of(state: RenderState, value: object) -> str:
    """Return the text a filter works on, having paid for reading it."""
    text = stringify(state, value)
    state.charge_text(len(text))
    return text


def how_many(state: RenderState, count: object, at_most: int) -> int:
    """Return a count given as an argument: rounded up, never negative, NaN is none."""
    number = coerce_number(state, count)
    return math.ceil(min(number, at_most)) if number > 0 else 0


@liquid_filter("append")
def append(state: RenderState, value: object, *suffixes: object) -> str:
    return _concatenate(state, value, _needed("append", suffixes))


@liquid_filter("prepend")
def prepend(state: RenderState, value: object, *prefixes: object) -> str:
    return _concatenate(state, _needed("prepend", prefixes), value)


def _needed(name: str, arguments: tuple[object, ...]) -> object:
    if len(arguments) != 1:
        raise RenderError(f"{name} takes one argument")
    return arguments[0]


def _concatenate(state: RenderState, first: object, second: object) -> str:
    left, right = stringify(state, first), stringify(state, second)
    state.charge_text(len(left) + len(right))
    return left + right


@liquid_filter("upcase")
def upcase(state: RenderState, value: object) -> str:
    return text_of(state, value).upper()


@liquid_filter("downcase")
def downcase(state: RenderState, value: object) -> str:
    return text_of(state, value).lower()


@liquid_filter("capitalize")
def capitalize(state: RenderState, value: object) -> str:
    text = text_of(state, value)
    first = text[:1]
    return (first if first > "\uffff" else first.upper()) + text[1:].lower()


def _chars(state: RenderState, chars: object) -> frozenset[str] | None:
    """Return the characters to strip; None means white space."""
    if is_js_falsy(chars):
        return None
    return frozenset(text_of(state, chars))


def _start(text: str, chars: frozenset[str]) -> int:
    return next((index for index, char in enumerate(text) if char not in chars), len(text))


def _end(text: str, chars: frozenset[str]) -> int:
    end = len(text)
    while end and text[end - 1] in chars:
        end -= 1
    return end


@liquid_filter("lstrip")
def lstrip(state: RenderState, value: object, chars: object = UNDEFINED) -> str:
    text, stripped = text_of(state, value), _chars(state, chars)
    return text.lstrip(SPACE) if stripped is None else text[_start(text, stripped) :]


@liquid_filter("rstrip")
def rstrip(state: RenderState, value: object, chars: object = UNDEFINED) -> str:
    text, stripped = text_of(state, value), _chars(state, chars)
    return text.rstrip(SPACE) if stripped is None else text[: _end(text, stripped)]


@liquid_filter("strip")
def strip(state: RenderState, value: object, chars: object = UNDEFINED) -> str:
    text, stripped = text_of(state, value), _chars(state, chars)
    if stripped is None:
        return text.strip(SPACE)
    return text[_start(text, stripped) : _end(text, stripped)]


@liquid_filter("strip_newlines")
def strip_newlines(state: RenderState, value: object) -> str:
    return _LINE_END.sub("", text_of(state, value))


@liquid_filter("squish")
def squish(state: RenderState, value: object) -> str:
    return _SPACES.sub(" ", text_of(state, value)).strip(SPACE)


@liquid_filter("normalize_whitespace")
def normalize_whitespace(state: RenderState, value: object) -> str:
    return _SPACES.sub(" ", text_of(state, value))


@liquid_filter("replace")
def replace(state: RenderState, value: object, pattern: object = UNDEFINED, replacement: object = UNDEFINED) -> str:
    """Replace every occurrence; an empty pattern is found between any two characters."""
    text, old, new = text_of(state, value), stringify(state, pattern), stringify(state, replacement)
    if not old:
        return join(state, utf16_units(text), new)
    state.charge_text(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


@liquid_filter("remove")
def remove(state: RenderState, value: object, pattern: object = UNDEFINED) -> str:
    text, old = text_of(state, value), stringify(state, pattern)
    return text.replace(old, "") if old else text


@liquid_filter("replace_first")
def replace_first(
    state: RenderState, value: object, pattern: object = UNDEFINED, replacement: object = UNDEFINED
) -> str:
    text, old, new = text_of(state, value), stringify(state, pattern), stringify(state, replacement)
    state.charge_text(len(text) + len(new))
    return text.replace(old, new, 1)


@liquid_filter("remove_first")
def remove_first(state: RenderState, value: object, pattern: object = UNDEFINED) -> str:
    return text_of(state, value).replace(stringify(state, pattern), "", 1)


@liquid_filter("replace_last")
def replace_last(
    state: RenderState, value: object, pattern: object = UNDEFINED, replacement: object = UNDEFINED
) -> str:
    """Replace the last occurrence.

    The search runs forwards over reversed texts: Python's backward search is quadratic at worst, this one is not.
    """
    text, old, new = text_of(state, value), stringify(state, pattern), stringify(state, replacement)
    state.charge_text(len(text) + len(new))
    found = text[::-1].find(old[::-1])
    if found < 0:
        return text
    start = len(text) - found - len(old)
    return text[:start] + new + text[start + len(old) :]


@liquid_filter("remove_last")
def remove_last(state: RenderState, value: object, pattern: object = UNDEFINED) -> str:
    return replace_last(state, value, pattern, "")


@liquid_filter("split")
def split(state: RenderState, value: object, separator: object = UNDEFINED) -> list[str]:
    """Cut into a list, without empty texts at its end; an empty separator cuts between characters."""
    text, mark = text_of(state, value), stringify(state, separator)
    state.charge(text.count(mark) if mark else len(text))
    parts = text.split(mark) if mark else utf16_units(text)
    while parts and not parts[-1]:
        parts.pop()
    return parts


@liquid_filter("truncate")
def truncate(state: RenderState, value: object, length: object = 50, ellipsis: object = "...") -> object:
    """Cut to that many characters, the ellipsis included."""
    text, mark = text_of(state, value), stringify(state, ellipsis)
    state.charge_text(len(text) + len(mark))
    if len(text) <= how_many(state, length, len(text)):
        return value
    kept = coerce_number(state, length) - len(mark)
    return text[: how_many(state, kept, len(text))] + mark


@liquid_filter("truncatewords")
def truncatewords(state: RenderState, value: object, words: object = 15, ellipsis: object = "...") -> str:
    """Keep that many words; the ellipsis follows also when there were no more of them."""
    text, mark = text_of(state, value), stringify(state, ellipsis)
    state.charge_text(len(text) + len(mark))
    parts = _SPACES.split(text.lstrip(SPACE))
    limit = coerce_number(state, words)
    limit = 1 if limit <= 0 else limit
    kept = " ".join(parts[: int(min(limit, len(parts)))] if limit > 0 else [])
    return kept + mark if len(parts) >= limit else kept


@liquid_filter("number_of_words")
def number_of_words(state: RenderState, value: object, mode: object = UNDEFINED) -> int:
    """Count words; `cjk` counts each Chinese, Japanese or Korean character, `auto` does so where there are any."""
    text = text_of(state, value).strip(SPACE)
    if not text:
        return 0
    if mode == "cjk" or (mode == "auto" and _CJK_CHARACTER.search(text)):
        return len(_CJK_CHARACTER.findall(text)) + len(_OTHER_WORD.findall(text))
    return len(_SPACES.split(text))


@liquid_filter("array_to_sentence_string")
def array_to_sentence_string(state: RenderState, value: object, connector: object = "and") -> object:
    """List the items as a sentence does: "a, b, and c"."""
    items = to_array(value)
    word = stringify(state, connector)
    state.charge(len(items))
    if len(items) <= 1:
        return items[0] if items else ""
    last = to_text(state, items[-1])
    if len(items) == 2:  # noqa: PLR2004 - a pair has no comma
        text = f"{to_text(state, items[0])} {word} {last}"
    else:
        text = f"{join(state, items[:-1], ', ')}, {word} {last}"
    state.charge_text(len(text))
    return text
