"""`raw`, comments, and the `liquid` tag."""

from collections.abc import Sequence
from typing import cast

from liquid.exceptions import BlockNestingError
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.token import TOKEN_CONTENT, TOKEN_EOF, Token

from templates.dialect.lexer import tokenize_lines
from templates.dialect.nodes import DialectNode, TextNode, write_all
from templates.dialect.state import RenderState
from templates.dialect.tags.base import Block, DialectTag
from templates.dialect.unicode import SPACE


class RawTag(DialectTag):
    """`raw`: what it encloses is text. The lexer has found its end already."""

    name = "raw"
    end = "endraw"

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        text = ""
        next(stream)
        if stream.current.kind == TOKEN_CONTENT:
            text = next(stream).value
        if not stream.current.is_tag(self.end):
            head.fail("'raw' cannot be used inside of 'liquid'")
        self.read_head(stream)
        return TextNode(head.token, text)


class CommentTag(DialectTag):
    """`comment`: what it encloses is dropped, up to the first `endcomment`."""

    name = "comment"
    end = "endcomment"

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        while not stream.current.is_tag(self.end):
            if stream.current.kind == TOKEN_EOF:
                head.fail("'comment' is not closed by 'endcomment'")
            next(stream)
        self.read_head(stream)
        return TextNode(head.token, "")


class InlineCommentTag(DialectTag):
    """`{% # ... %}`: every line of it starts with a hash."""

    name = "#"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        lines = (line.strip(SPACE) for line in head.arguments.split("\n")[1:])
        if any(line and not line.startswith("#") for line in lines):
            head.fail("every line of an inline comment must start with '#'")
        return TextNode(head.token, "")


class SequenceNode(DialectNode):
    """Nodes that belong together."""

    __slots__ = ("block",)

    def __init__(self, token: Token, block: Sequence[DialectNode]) -> None:
        super().__init__(token)
        self.block = tuple(block)

    def write(self, state: RenderState) -> None:
        write_all(self.block, state)


class LiquidTag(DialectTag):
    """`liquid`: tags without delimiters, one on each line."""

    name = "liquid"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        depth = stream.block_depth + 1
        if depth > self.env.block_nesting_limit:
            raise BlockNestingError("blocks are nested too deep", token=head.token)
        tokens = tokenize_lines(head.token.source, head.arguments, head.start_index)
        nodes = get_parser(self.env).parse(TokenStream(tokens, block_depth_carry=depth))
        return SequenceNode(head.token, cast("Block", tuple(nodes)))
