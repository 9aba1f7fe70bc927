"""The four priorities; each is a lane, and each lane a queue. Pure."""

from enum import IntEnum


class Priority(IntEnum):
    """Smaller is more urgent, so that rows sort by it."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3

    @property
    def lane(self) -> str:
        """The word used in the API, in queue names and on the screen."""
        return self.name.lower()

    @classmethod
    def of_lane(cls, lane: str) -> "Priority":
        """Return the priority called `lane`. Raises KeyError when there is none."""
        return cls[lane.upper()]


LANES: tuple[str, ...] = tuple(priority.lane for priority in Priority)
CHOICES: list[tuple[int, str]] = [(int(priority), priority.lane) for priority in Priority]
