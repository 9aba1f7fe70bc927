"""What one rendering carries along: scopes, output, missing names, and how much of its allowance is left."""

from collections.abc import Mapping
from typing import Literal

from templates import limits
from templates.errors import LimitExceededError, UndefinedVariableError

_TEXT_SHIFT = limits.CHARS_PER_UNIT_SHIFT

Interrupt = Literal["break", "continue"]


class RenderState:
    """The mutable side of a rendering; templates themselves never change.

    `scopes[0]` holds what the template assigned, the others belong to the loops around the current node.
    `counters` lies over the context, which is never written to.
    """

    __slots__ = (
        "chunks",
        "context",
        "counters",
        "interrupt",
        "is_strict",
        "iterations_left",
        "missing",
        "registers",
        "scopes",
        "size",
        "work_left",
    )

    def __init__(self, context: Mapping[str, object], *, is_strict: bool) -> None:
        self.context = context
        self.is_strict = is_strict
        self.scopes: list[dict[str, object]] = [{}]
        self.counters: dict[str, int | float] = {}
        self.registers: dict[object, object] = {}
        self.missing: dict[str, None] = {}
        self.chunks: list[str] = []
        self.size = 0
        self.work_left = limits.MAX_WORK
        self.iterations_left = limits.MAX_ITERATIONS
        self.interrupt: Interrupt | None = None

    def emit(self, text: str) -> None:
        """Write to the output. Raises LimitExceededError when it has grown too long."""
        self.size += len(text)
        if self.size > limits.MAX_OUTPUT_CHARS:
            raise LimitExceededError(f"the output is longer than {limits.MAX_OUTPUT_CHARS} characters")
        self.chunks.append(text)

    def charge(self, units: int) -> None:
        """Pay for work before doing it. Raises LimitExceededError when nothing is left to pay with."""
        self.work_left -= units
        if self.work_left < 0:
            raise LimitExceededError("rendering takes too much work")

    def charge_text(self, length: int) -> None:
        """Pay for building or reading a text of that many characters, and refuse one that is too long."""
        if length > limits.MAX_STRING_CHARS:
            raise LimitExceededError(f"a text would be longer than {limits.MAX_STRING_CHARS} characters")
        self.work_left -= length >> _TEXT_SHIFT
        if self.work_left < 0:
            raise LimitExceededError("rendering takes too much work")

    def charge_iterations(self, count: float) -> None:
        """Pay for that many passes of a loop, or elements of a range, at once."""
        if count > self.iterations_left:
            raise LimitExceededError(f"loops run more than {limits.MAX_ITERATIONS} times in all")
        self.iterations_left -= int(count)

    def assign(self, name: str, value: object) -> None:
        """Set a variable of the template, visible everywhere from here on."""
        variables = self.scopes[0]
        variables[name] = value
        if len(variables) > limits.MAX_LOCAL_NAMES:
            raise LimitExceededError(f"a template may set {limits.MAX_LOCAL_NAMES} variables")

    def note_missing(self, path: str) -> None:
        """Remember a name the context lacks. Raises UndefinedVariableError in strict rendering."""
        if self.is_strict:
            raise UndefinedVariableError(path[: limits.MAX_MISSING_NAME_CHARS])
        if len(self.missing) < limits.MAX_MISSING_NAMES:
            self.missing[path[: limits.MAX_MISSING_NAME_CHARS]] = None

    def take_interrupt(self) -> Interrupt | None:
        """Return what stops the current blocks, if anything does, and let them go on."""
        interrupt, self.interrupt = self.interrupt, None
        return interrupt

    def begin_capture(self) -> tuple[list[str], int]:
        """Send the output elsewhere; give the answer to `end_capture`."""
        outer = (self.chunks, self.size)
        self.chunks, self.size = [], 0
        return outer

    def end_capture(self, outer: tuple[list[str], int]) -> str:
        """Return what was written since `begin_capture`, and restore the output."""
        text = "".join(self.chunks)
        self.chunks, self.size = outer
        self.charge_text(len(text))
        return text
