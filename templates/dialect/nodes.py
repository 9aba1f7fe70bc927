"""What every node of a parsed template is, and how a sequence of them is written.

python-liquid's own way of rendering nodes is not used: it knows no allowances and compares and prints otherwise.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TextIO

from liquid import RenderContext
from liquid.ast import Node
from liquid.exceptions import LiquidError
from liquid.token import Token

from templates.dialect.state import RenderState
from templates.errors import LimitExceededError, RenderError

# What odd input may raise deep inside of the standard library; anything else is a fault of ours and stays one.
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class DialectNode(Node):
    """One piece of a parsed template; immutable once parsed."""

    __slots__ = ()

    @abstractmethod
    def write(self, state: RenderState) -> None:
        """Write what the node prints to the state."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        raise NotImplementedError("nodes of this dialect write to a RenderState")


class TextNode(DialectNode):
    """Text between tags."""

    __slots__ = ("text",)

    def __init__(self, token: Token, text: str) -> None:
        super().__init__(token)
        self.text = text

    def write(self, state: RenderState) -> None:
        state.emit(self.text)


def write_all(nodes: Sequence[DialectNode], state: RenderState) -> None:
    """Write the nodes one after the other, until a `break` or `continue` stops them.

    Raises RenderError with the line of the innermost node that failed.
    """
    node: DialectNode | None = None
    state.charge(len(nodes))
    try:
        for node in nodes:
            node.write(state)
            if state.interrupt is not None:
                return
    except RenderError as error:
        if error.line is None and node is not None:
            error.line = line_of(node.token)
        raise
    except (LiquidError, *UNEXPECTED) as error:
        raise as_render_error(error, None if node is None else node.token) from error


def as_render_error(error: Exception, token: Token | None = None) -> RenderError:
    """Return the RenderError for what went wrong inside of a filter or an expression."""
    line = None if token is None else line_of(token)
    if isinstance(error, RecursionError):
        return LimitExceededError("a value or an expression is nested too deep", line=line)
    message = error.message if isinstance(error, LiquidError) else error
    return RenderError(f"cannot be rendered: {message}", line=line)


def line_of(token: Token) -> int:
    """Return the line a token stands on, counted from 1."""
    return token.source.count("\n", 0, max(token.start_index, 0)) + 1
