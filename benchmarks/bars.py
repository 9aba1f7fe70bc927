"""What is expected of the measurements, one bar for each promise; judging is pure."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise: `ratio` shall be `at_least` so much, or at most where less is better.

    With a peer the ratio is what was measured divided by the peer's; without one it is the measured value itself.
    """

    part: str
    name: str
    unit: str
    at_least: float
    stretch: float
    has_peer: bool = True
    is_less_better: bool = False

    def is_met(self, ratio: float, wanted: float) -> bool:
        """Say whether a ratio is as good as wanted."""
        return ratio <= wanted if self.is_less_better else ratio >= wanted


BARS = {
    "bullmq": Bar("engine", "durable steps, 2 workers, against BullMQ steps that do nothing", "steps/s", 0.75, 1.0),
    "dbos": Bar("engine", "durable steps, 2 workers, against DBOS", "steps/s", 20, 30),
    "celery": Bar("engine", "durable steps, 2 workers, against Celery doing nothing on RabbitMQ", "steps/s", 4, 6),
    "ingest": Bar("ingest", "single POST, against Express + JWT + INSERT + BullMQ", "requests/s", 1.3, 1.8),
    "end_to_end": Bar("end_to_end", "POST and three nodes, against Express + PostgreSQL + BullMQ", "triggers/s", 3, 4),
    "bulk": Bar("ingest", "bulk accepted, against single POST", "triggers/s", 8, 15),
    "priority": Bar(
        "priority",
        "critical p99, accept to hand-over, behind 100,000 low ones",
        "s",
        1.0,
        0.25,
        has_peer=False,
        is_less_better=True,
    ),
    "slow_provider": Bar("slow_provider", "100 ms provider, one worker process", "sends/s", 500, 1500, has_peer=False),
    "claim": Bar("scale", "claim time, 10 million rows against 10 thousand", "ms", 2.0, 1.2, is_less_better=True),
    "memory": Bar("scale", "worker memory, a million waiting against none", "MB", 1.1, 1.0, is_less_better=True),
}


@dataclass(slots=True)
class Measured:
    """What was found for a bar; without a number, `note` says why there is none."""

    measured: float | None = None
    peer: float | None = None
    note: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)


def judged(key: str, found: Measured) -> dict[str, Any]:
    """Return the bar's row of the report; `met` and `stretch_met` are None where nothing was measured."""
    bar = BARS[key]
    ratio = found.measured
    if ratio is not None and bar.has_peer:
        ratio = ratio / found.peer if found.peer else None
    return {
        "name": bar.name,
        "part": bar.part,
        "unit": bar.unit,
        "measured": found.measured,
        "peer": found.peer,
        "ratio": ratio,
        "at_least": bar.at_least,
        "stretch": bar.stretch,
        "less_is_better": bar.is_less_better,
        "met": None if ratio is None else bar.is_met(ratio, bar.at_least),
        "stretch_met": None if ratio is None else bar.is_met(ratio, bar.stretch),
        "note": found.note,
        "samples": found.samples,
    }
