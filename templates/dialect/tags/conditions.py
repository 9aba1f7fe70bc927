"""`if`, `unless` and `case`. What they test may be missing without a report: testing is how authors guard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from liquid.stream import TokenStream
from liquid.token import Token

from templates.dialect.comparison import equals
from templates.dialect.expressions import Expression
from templates.dialect.nodes import DialectNode, write_all
from templates.dialect.state import RenderState
from templates.dialect.tags.base import Block, DialectTag, Head
from templates.dialect.values import is_falsy, to_plain


@dataclass(frozen=True, slots=True)
class Branch:
    """A block, and the value on which it depends; `is_negated` for the first one of `unless`."""

    condition: Expression
    block: Block
    is_negated: bool = False

    def is_taken(self, state: RenderState) -> bool:
        return is_falsy(self.condition.evaluate(state)) is self.is_negated


class ConditionNode(DialectNode):
    """Writes the first branch whose condition holds, or else the last resort."""

    __slots__ = ("branches", "fallback")

    def __init__(self, token: Token, branches: Sequence[Branch], fallback: Block) -> None:
        super().__init__(token)
        self.branches = tuple(branches)
        self.fallback = fallback

    def write(self, state: RenderState) -> None:
        for branch in self.branches:
            state.charge(1)
            if branch.is_taken(state):
                write_all(branch.block, state)
                return
        write_all(self.fallback, state)


class IfTag(DialectTag):
    """`if`, `elsif`, `else`."""

    name = "if"
    end = "endif"
    ends: Final = frozenset({"elsif", "else", "endif"})

    def parse(self, stream: TokenStream) -> DialectNode:
        head = last = self.read_head(stream)
        branches: list[Branch] = []
        fallback: Block | None = None
        while last.name != self.end:
            opener = last
            condition = None if opener.name == "else" else opener.reader(is_excused=True).read_filtered()
            if fallback is not None:
                opener.fail(f"{opener.name!r} after 'else'")
            block, last = self.read_block(stream, head, self.ends)
            if condition is not None:
                branches.append(Branch(condition, block))
                continue
            opener.refuse_arguments()
            fallback = block
        last.refuse_arguments()
        return ConditionNode(head.token, branches, fallback or ())


class UnlessTag(DialectTag):
    """`unless`: the first branch is taken when its condition does not hold. What follows `else` is ignored."""

    name = "unless"
    end = "endunless"
    ends: Final = frozenset({"elsif", "else", "endunless"})

    def parse(self, stream: TokenStream) -> DialectNode:
        head = last = self.read_head(stream)
        branches: list[Branch] = []
        fallback: Block | None = None
        while last.name != self.end:
            opener = last
            block, last = self.read_block(stream, head, self.ends)
            if opener.name == "else":
                fallback = block if fallback is None else fallback
            elif fallback is None:
                condition = opener.reader(is_excused=True).read_filtered()
                branches.append(Branch(condition, block, is_negated=opener is head))
        return ConditionNode(head.token, branches, fallback or ())


@dataclass(frozen=True, slots=True)
class Candidate:
    """One `when`: its values and its block."""

    values: tuple[Expression, ...]
    block: Block


class CaseNode(DialectNode):
    """Writes the block of each `when` once for each of its values that is equal."""

    __slots__ = ("candidates", "fallback", "value")

    def __init__(self, token: Token, value: Expression, candidates: Sequence[Candidate], fallback: Block) -> None:
        super().__init__(token)
        self.value = value
        self.candidates = tuple(candidates)
        self.fallback = fallback

    def write(self, state: RenderState) -> None:
        target = to_plain(self.value.evaluate(state))
        is_hit = False
        for candidate in self.candidates:
            state.charge(len(candidate.values))
            if any(equals(state, target, value.evaluate(state)) for value in candidate.values):
                is_hit = True
                write_all(candidate.block, state)
        if not is_hit:
            write_all(self.fallback, state)


class CaseTag(DialectTag):
    """`case`, `when`, `else`. What follows `else` is ignored."""

    name = "case"
    end = "endcase"
    ends: Final = frozenset({"when", "else", "endcase"})

    def parse(self, stream: TokenStream) -> DialectNode:
        head = self.read_head(stream)
        value = head.reader(is_excused=True).read_filtered()
        candidates: list[Candidate] = []
        fallback: Block | None = None
        _before_first, last = self.read_block(stream, head, self.ends)
        while last.name != self.end:
            opener = last
            block, last = self.read_block(stream, head, self.ends)
            if opener.name == "else":
                fallback = block if fallback is None else fallback
            elif fallback is None:
                candidates.append(Candidate(_read_values(opener), block))
        return CaseNode(head.token, value, candidates, fallback or ())


def _read_values(head: Head) -> tuple[Expression, ...]:
    """Read what follows `when`: values with commas or `or` between them."""
    reader = head.reader(is_excused=True)
    values: list[Expression] = []
    while not reader.is_at_end():
        value = reader.read_value()
        if value is None:
            reader.fail(f"expected a value, found {reader.snapshot()!r}")
        values.append(value)
        reader.skip_blanks()
        reader.skip_past("," if reader.peek() == "," else "or")
    return tuple(values)
