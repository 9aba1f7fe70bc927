"""Text, `{{ ... }}`, `echo`, and whatever is not a tag."""

from typing import NoReturn

from liquid.stream import TokenStream
from liquid.token import TOKEN_CONTENT, TOKEN_ILLEGAL, TOKEN_OUTPUT, Token

from templates.dialect.expressions import Expression, Filtered
from templates.dialect.filters.html import escape_text
from templates.dialect.nodes import DialectNode, TextNode
from templates.dialect.state import RenderState
from templates.dialect.tags.base import DialectTag, Head
from templates.dialect.values import stringify


class OutputNode(DialectNode):
    """Prints a value, escaped for HTML unless its last filter is `raw`."""

    __slots__ = ("expression", "is_escaped")

    def __init__(self, token: Token, expression: Expression, *, is_html: bool) -> None:
        super().__init__(token)
        self.expression = expression
        self.is_escaped = is_html and not is_raw(expression)

    def write(self, state: RenderState) -> None:
        text = stringify(state, self.expression.evaluate(state))
        if self.is_escaped:
            state.charge_text(len(text))
            text = escape_text(text)
        state.emit(text)


def is_raw(expression: Expression) -> bool:
    """Tell whether the output of an expression is marked as safe HTML."""
    return isinstance(expression, Filtered) and expression.filters[-1].spec.is_raw


class ContentTag(DialectTag):
    """Text between tags, which python-liquid treats as a tag of its own."""

    name = TOKEN_CONTENT
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        token = stream.current
        return TextNode(token, token.value)


class OutputTag(DialectTag):
    """`{{ ... }}`, which python-liquid treats as a tag of its own."""

    name = TOKEN_OUTPUT
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        token = stream.current
        reader = Head(token, token.value, token.start_index).reader()
        return OutputNode(token, reader.read_filtered(), is_html=self.is_html)


class EchoTag(DialectTag):
    """`echo`: an output written as a tag; without an expression it prints nothing."""

    name = "echo"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        if not head.arguments:
            return TextNode(head.token, "")
        return OutputNode(head.token, head.reader().read_filtered(), is_html=self.is_html)


class UnknownTag(DialectTag):
    """Any name that is no tag."""

    name = TOKEN_ILLEGAL
    block = False

    def parse(self, stream: TokenStream) -> NoReturn:
        head = self.read_head(stream)
        head.fail(f"unknown tag {head.name!r}")


class LoadingTag(DialectTag):
    """The tags that would load another template. There is nothing to load one from."""

    block = False

    def parse(self, stream: TokenStream) -> NoReturn:
        head = self.read_head(stream)
        head.fail(f"the tag {head.name!r} is not available: a template cannot load another one")


class IncludeTag(LoadingTag):
    name = "include"


class RenderTag(LoadingTag):
    name = "render"


class LayoutTag(LoadingTag):
    name = "layout"


class BlockTag(LoadingTag):
    name = "block"
