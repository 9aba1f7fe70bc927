"""Reads expressions: the text between delimiters in, `Expression` objects out.

The grammar is LiquidJS's own, tolerant where it is tolerant: operands without an operator between them are
evaluated and dropped, and what follows a `,` or `)` after an expression is left to the tag.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from liquid.exceptions import LiquidSyntaxError
from liquid.token import TOKEN_EXPRESSION, Token

from templates import limits
from templates.dialect.expressions import (
    Argument,
    ComputedPath,
    Constant,
    Expression,
    FilterCall,
    Filtered,
    Operation,
    Path,
    Range,
)
from templates.dialect.filter_registry import FilterSpec
from templates.dialect.numbers import text_to_number
from templates.dialect.quoting import unquote
from templates.dialect.unicode import BLANKS, WORD
from templates.dialect.values import BLANK, EMPTY, NIL

IDENTIFIER = re.compile(rf"{WORD}*")
_BLANK_RUN = re.compile(rf"[{BLANKS}]*")
_NUMBER = re.compile(rf"[+-]?[0-9]+(?:\.(?!\.)[0-9]*)?(?!{WORD})(?!\.(?!\.))")
_OPERATOR = re.compile(rf"[=!<>]=|[<>]|(?:contains|not|and|or)(?!{WORD})")
_KEYWORD = re.compile(rf"(?:true|false|nil|null|empty|blank)(?!{WORD})")

_KEYWORD_VALUES: Final[Mapping[str, object]] = {
    "true": True,
    "false": False,
    "nil": NIL,
    "null": NIL,
    "empty": EMPTY,
    "blank": BLANK,
}
_PRECEDENCE: Final[Mapping[str, int]] = {"not": 1, "and": 0, "or": 0}
_COMPARISON_PRECEDENCE: Final = 2
_SNAPSHOT_CHARS: Final = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an expression stands in the template: needed to name the line of an error."""

    source: str
    start_index: int


class ExpressionReader:
    """A cursor over one expression. Conditions are read with `is_excused`: their variables may be missing."""

    def __init__(
        self,
        text: str,
        filters: Mapping[str, FilterSpec],
        origin: Origin,
        *,
        is_excused: bool = False,
    ) -> None:
        self.text = text
        self.position = 0
        self._filters = filters
        self._origin = origin
        self._is_excused = is_excused
        self._depth = 0
        self._is_quote_open = False

    # -- the cursor

    def fail(self, message: str) -> NoReturn:
        """Raise a syntax error here."""
        origin = self._origin
        index = min(origin.start_index + self.position, max(len(origin.source) - 1, 0))
        raise LiquidSyntaxError(message, token=Token(TOKEN_EXPRESSION, self.text, index, origin.source))

    def peek(self, ahead: int = 0) -> str:
        """Return the character at the cursor, or "" past the end."""
        index = self.position + ahead
        return self.text[index : index + 1]

    def is_at_end(self) -> bool:
        return self.position >= len(self.text)

    def skip_blanks(self) -> None:
        match = _BLANK_RUN.match(self.text, self.position)
        if match:
            self.position = match.end()

    def skip_past(self, mark: str) -> bool:
        """Move behind the next `mark`, or to the end if there is none."""
        index = self.text.find(mark, self.position)
        self.position = len(self.text) if index < 0 else index + len(mark)
        return index >= 0

    def snapshot(self) -> str:
        """Return the rest of the text, short enough for an error message."""
        rest = self.text[self.position :]
        return rest if len(rest) <= _SNAPSHOT_CHARS else rest[: _SNAPSHOT_CHARS - 3] + "..."

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match.group()

    # -- expressions

    def read_filtered(self) -> Expression:
        """Read an expression and its filters. Fails when there is no expression."""
        initial = self.read_expression()
        if initial is None:
            self.fail(f"an expression is missing before {self.snapshot()!r}")
        calls = self._read_filters()
        return Filtered(initial, calls) if calls else initial

    def read_expression(self) -> Expression | None:
        """Read operands and operators; None when there are none."""
        postfix = self._read_postfix()
        if not postfix:
            return None
        first = postfix[0]
        if len(postfix) == 1 and not isinstance(first, str):
            return first
        return Operation(postfix)

    def read_condition(self) -> Expression:
        """Read an expression in which every operator has its operands, up to the end of the text."""
        postfix = self._read_postfix()
        if _count_results(postfix) != 1:
            self.fail("a condition needs one operator between two values" if postfix else "the condition is empty")
        first = postfix[0]
        initial = first if len(postfix) == 1 and not isinstance(first, str) else Operation(postfix)
        calls = self._read_filters()
        if self._is_quote_open:
            self.fail("a quote in the condition is not closed")
        if not self.is_at_end():
            self.fail(f"unexpected {self.snapshot()!r} after the condition")
        return Filtered(initial, calls)

    def _read_postfix(self) -> list[Expression | str]:
        """Sort infix into postfix. Equal precedence binds to the right, as `and` and `or` do in Liquid."""
        postfix: list[Expression | str] = []
        waiting: list[str] = []
        while not self.is_at_end():
            operator = self._read_operator()
            if operator:
                while waiting and _precedence(waiting[-1]) > _precedence(operator):
                    postfix.append(waiting.pop())
                waiting.append(operator)
                continue
            operand = self.read_value()
            if operand is None:
                break
            postfix.append(operand)
        return postfix + waiting[::-1]

    def _read_operator(self) -> str:
        self.skip_blanks()
        return self._take(_OPERATOR)

    # -- filters

    def _read_filters(self) -> list[FilterCall]:
        calls: list[FilterCall] = []
        while True:
            self.skip_blanks()
            if self.is_at_end() or self.peek() in {")", ","}:
                return calls
            if self.peek() != "|":
                self.fail(f"expected '|' before a filter, found {self.snapshot()!r}")
            self.position += 1
            name = self.read_identifier()
            if name:
                calls.append(self._read_call(name))
            elif not self.is_at_end():
                self.fail("expected the name of a filter after '|'")

    def _read_call(self, name: str) -> FilterCall:
        spec = self._filters.get(name)
        if spec is None:
            self.fail(f"unknown filter {name!r}")
        arguments: list[Argument] = []
        self.skip_blanks()
        if self.peek() == ":":
            arguments = self._read_arguments()
        elif not self._is_at_end_of_call():
            self.fail("expected ':' after the name of a filter")
        return FilterCall(name, spec, spec.fit(arguments))

    def _read_arguments(self) -> list[Argument]:
        arguments: list[Argument] = []
        while True:
            self.position += 1
            argument = self._read_argument()
            if argument is not None:
                arguments.append(argument)
            self.skip_blanks()
            if not self._is_at_end_of_call():
                self.fail(f"unexpected {self.snapshot()!r} after a filter's argument")
            if self.peek() != ",":
                return arguments

    def _is_at_end_of_call(self) -> bool:
        return self.is_at_end() or self.peek() in {",", "|", ")"}

    def _read_argument(self) -> Argument | None:
        begin = self.position
        value = self.read_value()
        if value is None:
            return None
        name = self.text[begin : self.position].strip(BLANKS)
        self.skip_blanks()
        if self.peek() != ":":
            return None, value
        self.position += 1
        named = self.read_value()
        return name, Constant(None) if named is None else named

    # -- values

    def read_identifier(self) -> str:
        """Read a name; "" when there is none."""
        self.skip_blanks()
        return self._take(IDENTIFIER)

    def read_value(self) -> Expression | None:
        """Read a literal, a range or a path; None when there is none."""
        self.skip_blanks()
        base = self._read_literal()
        if base is None and self.peek() == "(":
            base = self._read_range()
        keys = self._read_keys(is_root_missing=base is None)
        return self._path(base, keys) if keys else base

    def read_options(self) -> dict[str, Expression | None]:
        """Read `name: value` pairs and bare names, with or without commas between them."""
        options: dict[str, Expression | None] = {}
        while True:
            self.skip_blanks()
            self.position += self.peek() == ","
            name = self.read_identifier()
            if not name:
                return options
            self.skip_blanks()
            options[name] = None
            if self.peek() == ":":
                self.position += 1
                options[name] = self.read_value()

    def read_scope_value(self) -> Expression | None:
        """Read a path, taking `true` or a number for a name, as filters do with a property's name."""
        self.skip_blanks()
        keys = self._read_keys(is_root_missing=True)
        return self._path(None, keys) if keys else None

    def _path(self, base: Expression | None, keys: list[Expression]) -> Expression:
        names = [key.value for key in keys if isinstance(key, Constant) and isinstance(key.value, str)]
        if base is None and len(names) == len(keys):
            return Path(names[0], names[1:], is_excused=self._is_excused)
        return ComputedPath(base, keys, is_excused=self._is_excused)

    def _read_literal(self) -> Expression | None:
        keyword = self._take(_KEYWORD)
        if keyword:
            return Constant(_KEYWORD_VALUES[keyword])
        quoted = self.read_quoted()
        if quoted is not None:
            return Constant(quoted)
        number = self._take(_NUMBER)
        return Constant(_whole(text_to_number(number))) if number else None

    def read_quoted(self) -> str | None:
        """Read a text in quotes; None when there is none. One that is not closed ends with the expression."""
        self.skip_blanks()
        begin = self.position
        quote = self.peek()
        if quote not in {'"', "'"}:
            return None
        self.position += 1
        while not self.is_at_end():
            character = self.peek()
            self.position += 2 if character == "\\" else 1
            if character == quote:
                break
        else:
            self._is_quote_open = True
        self.position = min(self.position, len(self.text))
        return unquote(self.text[begin + 1 : max(self.position - 1, begin + 1)])

    def _read_range(self) -> Expression:
        self._enter()
        self.position += 1
        first = self._read_needed_value()
        self.skip_blanks()
        if not self.text.startswith("..", self.position):
            self.fail("expected a range such as (1..5)")
        self.position += 2
        last = self._read_needed_value()
        self.skip_blanks()
        if self.peek() != ")":
            self.fail("a range is not closed by ')'")
        self.position += 1
        self._depth -= 1
        return Range(first, last)

    def _read_needed_value(self) -> Expression:
        value = self.read_value()
        if value is None:
            self.fail(f"expected a value, found {self.snapshot()!r}")
        return value

    def _read_keys(self, *, is_root_missing: bool) -> list[Expression]:
        keys: list[Expression] = []
        while True:
            if self.peek() == "[":
                keys.append(self._read_bracket())
                continue
            name = self.read_identifier() if is_root_missing and not keys else ""
            if not name and self.peek() == "." and self.peek(1) != ".":
                self.position += 1
                name = self.read_identifier()
            if not name:
                return keys
            keys.append(Constant(name))

    def _read_bracket(self) -> Expression:
        self._enter()
        self.position += 1
        key = self.read_value()
        if not self.skip_past("]"):
            self.fail("'[' is not closed")
        self._depth -= 1
        return Constant("") if key is None else key

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > limits.MAX_EXPRESSION_DEPTH:
            self.fail(f"an expression is nested more than {limits.MAX_EXPRESSION_DEPTH} deep")


def _precedence(operator: str) -> int:
    return _PRECEDENCE.get(operator, _COMPARISON_PRECEDENCE)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def _count_results(postfix: list[Expression | str]) -> int:
    """Return how many values an evaluation would leave; 0 when an operator lacks an operand."""
    count = 0
    for part in postfix:
        if not isinstance(part, str):
            count += 1
            continue
        needed = 1 if part == "not" else 2
        if count < needed:
            return 0
        count += 1 - needed
    return count
