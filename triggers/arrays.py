"""Arrays in PostgreSQL's own binary format: one column of many rows as one parameter of a statement.

Rows as JSON cost the server twice what it takes to store them, since it parses each value; psycopg's own arrays cost
the same here, since they are made value by value (docs/adr/0014-rows-as-arrays.md). The format is that of array_send
in PostgreSQL's source: a head, then for each element its length and its bytes, or -1 for null.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import ClassVar
from uuid import UUID

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

# Dimensions, whether there are nulls (which nobody looks at), the element's type, how many, and the first one's number.
HEAD = Struct("!iiIii")
NO_DIMENSIONS = Struct("!iiI")
LENGTH = Struct("!i")
MOMENT = Struct("!iq")
NULL = LENGTH.pack(-1)
UUID_LENGTH = LENGTH.pack(16)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Array:
    """Elements of one type, ready to travel."""

    __slots__ = ("_body", "_count")
    element_oid: ClassVar[int]
    oid: ClassVar[int]

    def __init__(self, count: int, body: bytes) -> None:
        self._count = count
        self._body = body

    def encoded(self) -> bytes:
        """Return what the server reads."""
        if not self._count:
            return NO_DIMENSIONS.pack(0, 0, self.element_oid)
        return HEAD.pack(1, 0, self.element_oid, self._count, 1) + self._body


class Uuids(Array):
    """uuid[], without nulls."""

    element_oid, oid = 2950, 2951

    def __init__(self, values: Sequence[UUID]) -> None:
        super().__init__(len(values), UUID_LENGTH + UUID_LENGTH.join([value.bytes for value in values]))


class Integers(Array):
    """integer[], without nulls."""

    element_oid, oid = 23, 1007

    def __init__(self, values: Sequence[int]) -> None:
        lengths_and_values = [4] * (2 * len(values))
        lengths_and_values[1::2] = values
        super().__init__(len(values), Struct(f"!{len(lengths_and_values)}i").pack(*lengths_and_values))


class Texts(Array):
    """text[]; bytes are taken for UTF-8, such as JSON."""

    element_oid, oid = 25, 1009

    def __init__(self, values: Sequence[str | bytes | None]) -> None:
        super().__init__(len(values), b"".join(_texts(values)))


class Moments(Array):
    """timestamptz[]; to the microsecond."""

    element_oid, oid = 1184, 1185

    def __init__(self, values: Sequence[datetime | None]) -> None:
        body = [NULL if value is None else MOMENT.pack(8, (value - EPOCH) // MICROSECOND) for value in values]
        super().__init__(len(values), b"".join(body))


def _texts(values: Iterable[str | bytes | None]) -> Iterable[bytes]:
    for value in values:
        if value is None:
            yield NULL
        else:
            encoded = value.encode() if isinstance(value, str) else value
            yield LENGTH.pack(len(encoded))
            yield encoded


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj.encoded()


def register(adapters: AdaptersMap) -> None:
    """Teach a cursor to send arrays."""
    for kind in (Uuids, Integers, Texts, Moments):
        adapters.register_dumper(kind, DUMPERS[kind])


DUMPERS = {
    kind: type(f"{kind.__name__}Dumper", (_ArrayDumper,), {"oid": kind.oid})
    for kind in (Uuids, Integers, Texts, Moments)
}
