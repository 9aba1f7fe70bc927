"""What rows have in common is said once."""

import json
from datetime import UTC, datetime

from msgspec import Struct

from triggers.kinds import Kinds


class Sort(Struct):
    name: str
    at: datetime


def test_kinds_are_numbered_in_the_order_in_which_they_come_up() -> None:
    kinds: Kinds[dict[str, int]] = Kinds()

    numbers = [kinds.number(key, {"a": key}) for key in (7, 8, 7, 9, 8)]

    assert numbers == [0, 1, 0, 2, 1]
    assert json.loads(kinds.encoded()) == [{"kind": 0, "a": 7}, {"kind": 1, "a": 8}, {"kind": 2, "a": 9}]


def test_structs_are_told_by_their_fields() -> None:
    kinds: Kinds[Sort] = Kinds()
    kinds.number("x", Sort("x", datetime(2025, 3, 1, tzinfo=UTC)))

    assert json.loads(kinds.encoded()) == [{"kind": 0, "name": "x", "at": "2025-03-01T00:00:00Z"}]


def test_no_kinds_are_an_empty_list() -> None:
    assert Kinds[str]().encoded() == "[]"
