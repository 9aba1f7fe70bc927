"""What can be wrong with a definition: collected, never raised one at a time. Pure."""

from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong; `path` such as `nodes.2.delay_ms`, `code` for programs, `message` for people."""

    path: str
    code: str
    message: str


class DefinitionInvalid(Exception):
    """The definition has at least one fault; all of them are in `faults`."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(f"{len(faults)} fault(s), the first: {faults[0].path}: {faults[0].message}")
        self.faults = faults


@dataclass(slots=True)
class Faults:
    """Collects faults while a definition is read."""

    found: list[Fault] = field(default_factory=list)

    def add(self, path: str, code: str, message: str) -> None:
        """Note one fault."""
        self.found.append(Fault(path, code, message))

    def typed(self, raw: dict[str, object], path: str, name: str, wanted: type[T], *, default: T) -> T:
        """Return `raw[name]` when it is of the type wanted; note the fault and return `default` otherwise.

        A key that is absent gives `default` and no fault. `bool` is not taken for a number.
        """
        if name not in raw:
            return default
        value = raw[name]
        if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
            return value
        self.add(join(path, name), "invalid_type", f"This must be {WORDS[wanted]}.")
        return default

    def unknown_fields(self, raw: dict[str, object], path: str, known: set[str]) -> None:
        """Note each key of `raw` that is not known there."""
        for name in sorted(raw.keys() - known):
            self.add(
                join(path, name),
                "unknown_field",
                f"There is no such field here; known are: {', '.join(sorted(known))}.",
            )


WORDS: dict[type, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def join(*parts: str | int) -> str:
    """Join the parts of a path, leaving out empty ones."""
    return ".".join(str(part) for part in parts if part != "")
