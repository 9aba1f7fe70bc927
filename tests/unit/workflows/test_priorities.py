"""The four priorities and their lanes."""

import pytest

from workflows.priorities import CHOICES, LANES, Priority


@pytest.mark.parametrize(
    ("priority", "number", "lane"),
    [
        (Priority.CRITICAL, 0, "critical"),
        (Priority.HIGH, 1, "high"),
        (Priority.MEDIUM, 2, "medium"),
        (Priority.LOW, 3, "low"),
    ],
)
def test_each_priority_has_a_number_and_a_lane(priority: Priority, number: int, lane: str) -> None:
    assert (priority.value, priority.lane) == (number, lane)
    assert Priority.of_lane(lane) is priority


def test_rows_sorted_by_priority_have_the_most_urgent_first() -> None:
    assert LANES == ("critical", "high", "medium", "low")
    assert CHOICES == [(0, "critical"), (1, "high"), (2, "medium"), (3, "low")]


@pytest.mark.parametrize("lane", ["", "urgent", "0", "high "])
def test_another_lane_is_unknown(lane: str) -> None:
    with pytest.raises(KeyError):
        Priority.of_lane(lane)
