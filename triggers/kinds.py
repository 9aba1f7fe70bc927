"""What rows have in common, said once for all of them: rows carry the number of their kind."""

from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Kinds(Generic[T]):
    """Numbers kinds of rows in the order in which they come up; what tells kinds apart is for the caller to say."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self.found: list[T] = []

    def number(self, key: Hashable, kind: T) -> int:
        """Return the number of the kind that has this key."""
        number = self._numbers.setdefault(key, len(self.found))
        if number == len(self.found):
            self.found.append(kind)
        return number

    def encoded(self) -> str:
        """Return all kinds as a JSON list, for `jsonb_to_recordset`, each with its number as `kind`."""
        kinds = [msgspec.to_builtins(kind) for kind in self.found]
        return msgspec.json.encode([{"kind": number, **kind} for number, kind in enumerate(kinds)]).decode()
