"""`for`, `tablerow`, `break`, `continue` and `cycle`."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from liquid.stream import TokenStream
from liquid.token import Token

from templates.dialect.expressions import Expression
from templates.dialect.nodes import DialectNode, write_all
from templates.dialect.numbers import divide, number_to_text, remainder
from templates.dialect.state import Interrupt, RenderState
from templates.dialect.tags.base import Block, DialectTag, Head
from templates.dialect.tags.output import OutputNode
from templates.dialect.values import (
    UNDEFINED,
    LoopObject,
    coerce_number,
    is_js_falsy,
    is_number,
    to_enumerable,
    to_plain,
    to_text,
)

Options = Mapping[str, Expression | None]


class Loop:
    """The head of a loop: `variable in collection`, and its options."""

    __slots__ = ("collection", "name", "options", "variable")

    def __init__(self, head: Head) -> None:
        reader = head.reader()
        self.variable = reader.read_identifier()
        keyword = reader.read_identifier()
        reader.skip_blanks()
        begin = reader.position
        collection = reader.read_value()
        if not self.variable or keyword != "in" or collection is None:
            head.fail(f"{head.name!r} needs a variable, 'in' and a list")
        self.collection = collection
        self.name = f"{self.variable}-{reader.text[begin : reader.position]}"
        self.options: Options = reader.read_options()

    def items(self, state: RenderState) -> list[object]:
        items = to_enumerable(self.collection.evaluate(state))
        state.charge(len(items))
        return items

    def evaluated_options(self, state: RenderState) -> dict[str, object]:
        """Return the options that have a value; a bare name is true."""
        values = {name: True if option is None else option.evaluate(state) for name, option in self.options.items()}
        return {name: value for name, value in values.items() if value is not UNDEFINED}


def _index(state: RenderState, value: object, length: int) -> int:
    """Return the position `Array.slice` would take: negative counts from the end, what is no number is 0."""
    number = coerce_number(state, value)
    if math.isnan(number):
        return 0
    return int(min(max(number + length if number < 0 else number, 0), length))


def _add(state: RenderState, left: object, right: object) -> object:
    """Return JavaScript's `left + right`: a sum of numbers, or else both as text."""
    left, right = to_plain(left), to_plain(right)
    if all(value is None or isinstance(value, bool) or is_number(value) for value in (left, right)):
        return coerce_number(state, left) + coerce_number(state, right)
    return to_text(state, left) + to_text(state, right)


class ForNode(DialectNode):
    """Writes its block for each item, or the other block when there are none."""

    __slots__ = ("block", "fallback", "loop")

    def __init__(self, token: Token, loop: Loop, block: Block, fallback: Block) -> None:
        super().__init__(token)
        self.loop = loop
        self.block = block
        self.fallback = fallback

    def write(self, state: RenderState) -> None:
        items = self.loop.items(state)
        if not items:
            write_all(self.fallback, state)
            return
        self._run(state, self._chosen(state, items))

    def _chosen(self, state: RenderState, items: list[object]) -> list[object]:
        """Apply offset, limit and reversed, in this order; remember where `offset: continue` goes on."""
        register = ("continue", self.loop.name)
        before: object = state.registers.get(register)
        state.scopes.append({"continue": {} if is_js_falsy(before) else before})
        options = self.loop.evaluated_options(state)
        state.scopes.pop()
        if "offset" in options:
            items = items[_index(state, options["offset"], len(items)) :]
        if "limit" in options:
            items = items[: _index(state, options["limit"], len(items))]
        if "reversed" in options:
            items = items[::-1]
        offset = options.get("offset")
        state.registers[register] = _add(state, 0 if is_js_falsy(offset) else offset, len(items))
        return items

    def _run(self, state: RenderState, items: Sequence[object]) -> None:
        loop = LoopObject(len(items), self.loop.name)
        scope: dict[str, object] = {"forloop": loop}
        state.scopes.append(scope)
        for item in items:
            state.charge_iterations(1)
            scope[self.loop.variable] = item
            state.take_interrupt()
            write_all(self.block, state)
            if state.take_interrupt() == "break":
                break
            loop.index0 += 1
        state.scopes.pop()


class ForTag(DialectTag):
    """`for`, with an optional `else` for when there is nothing to loop over."""

    name = "for"
    end = "endfor"
    ends: Final = frozenset({"else", "endfor"})

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        loop = Loop(head)
        block, last = self.read_block(stream, head, self.ends)
        fallback: Block = ()
        while last.name != self.end:
            last.refuse_arguments()
            more, last = self.read_block(stream, head, self.ends)
            fallback += more
        last.refuse_arguments()
        return ForNode(head.token, loop, block, fallback)


class TableRowObject(LoopObject):
    """`tablerowloop`: a loop that also knows its row and column."""

    __slots__ = ("_columns", "columns")

    def __init__(self, length: int, name: str, columns: object, column_count: float) -> None:
        super().__init__(length, name)
        self.columns = columns
        self._columns = column_count

    @property
    def row(self) -> float:
        quotient = divide(self.index0, self._columns)
        return (math.floor(quotient) if math.isfinite(quotient) else quotient) + 1

    @property
    def column0(self) -> float:
        return remainder(self.index0, self._columns)

    def own(self) -> dict[str, object]:
        return super().own() | {"cols": self.columns}

    def properties(self) -> dict[str, object]:
        column = self.column0 + 1
        return super().properties() | {
            "row": self.row,
            "col": column,
            "col0": self.column0,
            "col_first": self.column0 == 0,
            "col_last": is_number(self.columns) and column == self._columns,
        }


class TableRowNode(DialectNode):
    """Writes table cells, `cols` to a row."""

    __slots__ = ("block", "loop")

    def __init__(self, token: Token, loop: Loop, block: Block) -> None:
        super().__init__(token)
        self.loop = loop
        self.block = block

    def write(self, state: RenderState) -> None:
        items = self.loop.items(state)
        options = self.loop.evaluated_options(state)
        offset = 0 if is_js_falsy(options.get("offset")) else options["offset"]
        end = _add(state, offset, options.get("limit", len(items)))
        items = items[_index(state, offset, len(items)) : _index(state, end, len(items))]
        columns = len(items) if is_js_falsy(options.get("cols")) else options["cols"]
        row = TableRowObject(len(items), self.loop.name, columns, coerce_number(state, columns))
        self._run(state, items, row)

    def _run(self, state: RenderState, items: Sequence[object], row: TableRowObject) -> None:
        scope: dict[str, object] = {"tablerowloop": row}
        state.scopes.append(scope)
        for item in items:
            state.charge_iterations(1)
            scope[self.loop.variable] = item
            if row.column0 == 0:
                state.emit("</tr>" if row.row != 1 else "")
                state.emit(f'<tr class="row{number_to_text(row.row)}">')
            state.emit(f'<td class="col{number_to_text(row.column0 + 1)}">')
            write_all(self.block, state)
            state.emit("</td>")
            row.index0 += 1
        state.emit("</tr>" if items else "")
        state.scopes.pop()


class TableRowTag(DialectTag):
    name = "tablerow"
    end = "endtablerow"

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        loop = Loop(head)
        block, _end = self.read_block(stream, head, frozenset({self.end}))
        return TableRowNode(head.token, loop, block)


class InterruptNode(DialectNode):
    """Stops the blocks around it, up to the loop."""

    __slots__ = ("interrupt",)

    def __init__(self, token: Token, interrupt: Interrupt) -> None:
        super().__init__(token)
        self.interrupt = interrupt

    def write(self, state: RenderState) -> None:
        state.interrupt = self.interrupt


class BreakTag(DialectTag):
    name = "break"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        return InterruptNode(self.read_head(stream).token, "break")


class ContinueTag(DialectTag):
    name = "continue"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        return InterruptNode(self.read_head(stream).token, "continue")


class CycleNode(DialectNode):
    """Writes the next of its values each time it is reached; equal cycles share their turn."""

    __slots__ = ("group", "key", "outputs")

    def __init__(self, token: Token, group: Expression | None, key: str, outputs: Sequence[OutputNode]) -> None:
        super().__init__(token)
        self.group = group
        self.key = key
        self.outputs = tuple(outputs)

    def write(self, state: RenderState) -> None:
        group = "" if self.group is None else to_text(state, self.group.evaluate(state))
        state.charge_text(len(group))
        register = (group, self.key)
        turn = state.registers.get(register, 0)
        index = turn if isinstance(turn, int) else 0
        state.registers[register] = (index + 1) % len(self.outputs)
        self.outputs[index].write(state)


class CycleTag(DialectTag):
    """`cycle 'a', 'b'` or `cycle group: 'a', 'b'`."""

    name = "cycle"
    block = False

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        reader = head.reader()
        group = reader.read_value()
        reader.skip_blanks()
        if group is None or reader.peek() != ":":
            reader.position, group = 0, None
        reader.position += group is not None
        begin = reader.position
        outputs: list[OutputNode] = []
        while not reader.is_at_end():
            outputs.append(OutputNode(head.token, reader.read_filtered(), is_html=self.is_html))
            reader.skip_past(",")
        if not outputs:
            head.fail("'cycle' needs values")
        return CycleNode(head.token, group, head.arguments[begin:], outputs)
