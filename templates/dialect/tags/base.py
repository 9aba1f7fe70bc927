"""What the tags share: reading their own head, and the blocks they enclose."""

from typing import NoReturn, Protocol, cast

from liquid.exceptions import LiquidSyntaxError
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.token import TOKEN_EOF, TOKEN_EXPRESSION, Token

from templates.dialect.filters import FILTERS
from templates.dialect.nodes import DialectNode
from templates.dialect.reader import ExpressionReader, Origin

Block = tuple[DialectNode, ...]


class Escaping(Protocol):
    """An environment that says whether outputs are HTML."""

    is_html: bool


class Head:
    """A tag's name and arguments."""

    __slots__ = ("arguments", "start_index", "token")

    def __init__(self, token: Token, arguments: str, start_index: int) -> None:
        self.token = token
        self.arguments = arguments
        self.start_index = start_index

    @property
    def name(self) -> str:
        return self.token.value

    def reader(self, *, is_excused: bool = False) -> ExpressionReader:
        """Return a reader of the arguments; see ExpressionReader for `is_excused`."""
        origin = Origin(self.token.source, self.start_index)
        return ExpressionReader(self.arguments, FILTERS, origin, is_excused=is_excused)

    def fail(self, message: str) -> NoReturn:
        raise LiquidSyntaxError(message, token=self.token)

    def refuse_arguments(self) -> None:
        if self.arguments:
            self.fail(f"unexpected {self.arguments[:32]!r} after {self.name!r}")


class DialectTag(Tag):
    """A tag of this dialect. `parse` leaves the stream at the last token of the tag, as python-liquid expects."""

    @property
    def is_html(self) -> bool:
        return cast("Escaping", self.env).is_html

    @staticmethod
    def read_head(stream: TokenStream) -> Head:
        """Read the tag at the cursor, and leave the cursor on the last token of it."""
        token = stream.current
        if stream.peek.kind != TOKEN_EXPRESSION:
            return Head(token, "", token.start_index)
        next(stream)
        return Head(token, stream.current.value, stream.current.start_index)

    def read_block(self, stream: TokenStream, head: Head, ends: frozenset[str]) -> tuple[Block, Head]:
        """Read the nodes after the cursor, and the head of the tag that ends them."""
        next(stream)
        block = get_parser(self.env).parse_block(stream, ends)
        if stream.current.kind == TOKEN_EOF:
            head.fail(f"{head.name!r} is not closed by 'end{head.name}'")
        return cast("Block", tuple(block.nodes)), self.read_head(stream)
