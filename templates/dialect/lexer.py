"""Cuts a template into text, outputs and tags, with LiquidJS's rules for delimiters and white space.

Yields python-liquid's tokens. Every search runs forwards once, so no source takes more than linear time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NoReturn

from liquid.exceptions import LiquidSyntaxError
from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token

from templates.dialect.reader import IDENTIFIER
from templates.dialect.unicode import BLANKS, WORD

_DELIMITER: Final = re.compile(r"\{[{%]")
_OUTPUT_PART: Final = re.compile(r"}}|['\"]")
_QUOTE_END: Final = {quote: re.compile(rf"[^{quote}\\]*(?:\\[\s\S][^{quote}\\]*)*{quote}") for quote in "'\""}
_END_OF_RAW: Final = re.compile(rf"\{{%[{BLANKS}]*endraw(?!{WORD})")
_TAG_END_OR_START: Final = re.compile(r"%}|\{%")
_DELIMITER_CHARS: Final = 2


@dataclass(slots=True)
class _Piece:
    """A stretch of the source: text, or the content of a tag or an output without its delimiters."""

    kind: str
    text: str
    start: int
    end: int
    is_left_trimmed: bool = False
    is_right_trimmed: bool = False
    is_verbatim: bool = False


def tokenize(source: str) -> Iterator[Token]:
    """Yield the tokens of a template; a tag is followed by a token with its arguments, if it has any."""
    pieces = list(_pieces(source))
    _trim(pieces)
    for piece in pieces:
        if piece.kind == TOKEN_TAG:
            yield from _tag_tokens(source, piece)
        elif piece.kind == TOKEN_OUTPUT or piece.text:
            yield Token(piece.kind, piece.text, piece.start, source)


def tokenize_lines(source: str, text: str, start: int) -> Iterator[Token]:
    """Yield the tokens of a `liquid` tag: one tag without delimiters on each line."""
    for match in re.finditer(r"[^\n]+", text):
        line = match.group().strip(BLANKS)
        if line:
            offset = start + match.start() + match.group().index(line)
            yield from _tag_tokens(source, _Piece(TOKEN_TAG, line, offset, offset + len(line)))


def _tag_tokens(source: str, piece: _Piece) -> Iterator[Token]:
    name = "#" if piece.text.startswith("#") else _leading_identifier(piece.text)
    if not name:
        _fail(source, piece.start, "a tag has no name")
    arguments = piece.text[len(name) :].lstrip(BLANKS)
    yield Token(TOKEN_TAG, name, piece.start, source)
    if arguments:
        yield Token(TOKEN_EXPRESSION, arguments, piece.start + len(piece.text) - len(arguments), source)


def _leading_identifier(text: str) -> str:
    match = IDENTIFIER.match(text)
    return match.group() if match else ""


def _pieces(source: str) -> Iterator[_Piece]:
    position = 0
    while position < len(source):
        match = _DELIMITER.search(source, position)
        start = match.start() if match else len(source)
        if start > position:
            yield _Piece(TOKEN_CONTENT, source[position:start], position, start)
        if match is None:
            return
        if match.group() == "{{":
            end = _end_of_output(source, start)
            yield _delimited(TOKEN_OUTPUT, source, start, end)
            position = end
            continue
        end = _end_of_tag(source, start)
        tag = _delimited(TOKEN_TAG, source, start, end)
        yield tag
        position = end
        if _leading_identifier(tag.text) == "raw":
            for raw_piece in _raw_pieces(source, tag.start, position):
                yield raw_piece
                position = raw_piece.end


def _delimited(kind: str, source: str, start: int, end: int) -> _Piece:
    begin, stop = start + _DELIMITER_CHARS, end - _DELIMITER_CHARS
    is_left_trimmed = source[begin : begin + 1] == "-"
    is_right_trimmed = stop > 0 and source[stop - 1] == "-"
    inner = source[begin + is_left_trimmed : max(stop - is_right_trimmed, begin + is_left_trimmed)]
    text = inner.strip(BLANKS)
    offset = begin + is_left_trimmed + len(inner) - len(inner.lstrip(BLANKS))
    return _Piece(kind, text, min(offset, len(source) - 1), end, is_left_trimmed, is_right_trimmed)


def _end_of_output(source: str, start: int) -> int:
    """Return where an output ends; `}}` inside a quoted text does not end it."""
    position = start + _DELIMITER_CHARS
    while True:
        match = _OUTPUT_PART.search(source, position)
        if match is None:
            _fail(source, start, "'{{' is not closed by '}}'")
        if match.group() == "}}":
            return match.end()
        closed = _QUOTE_END[match.group()].match(source, match.end())
        if closed is None:
            _fail(source, start, "'{{' is not closed by '}}': a quote in it is open")
        position = closed.end()


def _end_of_tag(source: str, start: int) -> int:
    """Return where a tag ends: at the next `%}`, even inside a quoted text."""
    end = source.find("%}", start + 1)
    if end < 0:
        _fail(source, start, "'{%' is not closed by '%}'")
    return end + _DELIMITER_CHARS


def _raw_pieces(source: str, raw_start: int, position: int) -> Iterator[_Piece]:
    """Yield the text of a `raw` block as it stands, and the tag that ends it."""
    start, end = _end_of_raw(source, raw_start, position)
    yield _Piece(TOKEN_CONTENT, source[position:start], position, start, is_verbatim=True)
    yield _delimited(TOKEN_TAG, source, start, end)


def _end_of_raw(source: str, raw_start: int, position: int) -> tuple[int, int]:
    while True:
        match = _END_OF_RAW.search(source, position)
        if match is None:
            _fail(source, raw_start, "raw is not closed by '{% endraw %}'")
        closing = _TAG_END_OR_START.search(source, match.end())
        if closing is not None and closing.group() == "%}":
            return match.start(), closing.end()
        position = match.end()


def _trim(pieces: list[_Piece]) -> None:
    """Strip the text beside a `-`, except inside of `raw`."""
    for before, piece in pairwise(pieces):
        if before.is_right_trimmed and piece.kind == TOKEN_CONTENT and not piece.is_verbatim:
            piece.text = piece.text.lstrip(BLANKS)
        if piece.is_left_trimmed and before.kind == TOKEN_CONTENT and not before.is_verbatim:
            before.text = before.text.rstrip(BLANKS)


def _fail(source: str, start: int, message: str) -> NoReturn:
    raise LiquidSyntaxError(message, token=Token(TOKEN_TAG, "", min(start, len(source) - 1), source))
