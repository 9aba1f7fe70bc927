"""`assign`, `capture`, `increment` and `decrement`."""

from liquid.stream import TokenStream
from liquid.token import Token

from templates.dialect.expressions import Expression
from templates.dialect.nodes import DialectNode, write_all
from templates.dialect.numbers import number_to_text
from templates.dialect.state import RenderState
from templates.dialect.tags.base import Block, DialectTag
from templates.dialect.values import is_number


class AssignNode(DialectNode):
    """Sets a variable to a value."""

    __slots__ = ("expression", "name")

    def __init__(self, token: Token, name: str, expression: Expression) -> None:
        super().__init__(token)
        self.name = name
        self.expression = expression

    def write(self, state: RenderState) -> None:
        state.assign(self.name, self.expression.evaluate(state))


class AssignTag(DialectTag):
    name = "assign"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        reader = head.reader()
        name = reader.read_identifier()
        reader.skip_blanks()
        if not name or reader.peek() != "=":
            head.fail("'assign' needs a name, '=' and a value")
        reader.position += 1
        return AssignNode(head.token, name, reader.read_filtered())


class CaptureNode(DialectNode):
    """Sets a variable to what its block prints."""

    __slots__ = ("block", "name")

    def __init__(self, token: Token, name: str, block: Block) -> None:
        super().__init__(token)
        self.name = name
        self.block = block

    def write(self, state: RenderState) -> None:
        outer = state.begin_capture()
        write_all(self.block, state)
        state.assign(self.name, state.end_capture(outer))


class CaptureTag(DialectTag):
    """`capture name`; the name may be quoted."""

    name = "capture"
    end = "endcapture"

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        name = head.reader().read_identifier() or head.reader().read_quoted()
        if name is None:
            head.fail("'capture' needs a name")
        block, _end = self.read_block(stream, head, frozenset({self.end}))
        return CaptureNode(head.token, name, block)


class CounterNode(DialectNode):
    """Counts a number of the context, or a new one from 0; `increment` prints before, `decrement` after."""

    __slots__ = ("name", "step")

    def __init__(self, token: Token, name: str, step: int) -> None:
        super().__init__(token)
        self.name = name
        self.step = step

    def write(self, state: RenderState) -> None:
        value = state.counters.get(self.name, state.context.get(self.name))
        count = value if isinstance(value, (int, float)) and is_number(value) else 0
        state.counters[self.name] = count + self.step
        state.emit(number_to_text(count if self.step > 0 else count + self.step))


class IncrementTag(DialectTag):
    name = "increment"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        return CounterNode(head.token, head.reader().read_identifier(), 1)


class DecrementTag(DialectTag):
    name = "decrement"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        return CounterNode(head.token, head.reader().read_identifier(), -1)
