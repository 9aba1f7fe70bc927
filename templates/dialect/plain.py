"""Templates of nothing but text and dotted names, which nearly all are, rendered without the machinery for the others.

Whatever is not plain and good, such as a name that is missing or a value that is neither text nor number, is left to
the general way, which has the words for it. What both render is the same.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from templates import limits
from templates.dialect.expressions import Path
from templates.dialect.filters.html import escape_text
from templates.dialect.nodes import DialectNode, TextNode
from templates.dialect.numbers import number_to_text
from templates.dialect.tags.output import OutputNode
from templates.dialect.unicode import well_formed

# Each costs a unit of work, of which there are many more (see `limits`).
MOST_PIECES = 1_000


class Name(NamedTuple):
    """A dotted name to be printed."""

    names: tuple[str, ...]
    is_escaped: bool


def plain_pieces(nodes: Sequence[DialectNode]) -> tuple[str | Name, ...] | None:
    """Return what a template consists of, or None when it is not that plain."""
    pieces: list[str | Name] = []
    for node in nodes:
        if type(node) is TextNode:
            pieces.append(node.text)
        elif type(node) is OutputNode and type(node.expression) is Path:
            pieces.append(Name((node.expression.root, *node.expression.names), node.is_escaped))
        else:
            return None
    return tuple(pieces) if len(pieces) <= MOST_PIECES else None


def render_plain(pieces: Sequence[str | Name], context: Mapping[str, object]) -> str | None:
    """Return the text, or None when the general way has to render it."""
    chunks: list[str] = []
    for piece in pieces:
        if type(piece) is str:
            chunks.append(piece)
            continue
        value: object = context
        for name in piece[0]:
            if type(value) is not dict or name not in value:
                return None
            value = value[name]
        if type(value) is str:
            text = value
        elif type(value) is int or type(value) is float:
            text = number_to_text(value)
        else:
            return None
        chunks.append(escape_text(text) if piece[1] else text)
    rendered = "".join(chunks)
    return None if len(rendered) > limits.MAX_OUTPUT_CHARS else well_formed(rendered)
