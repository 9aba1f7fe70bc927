"""Several rounds together: a line of JSON for each as it ends, and the table of all."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos import recovery
from tests.chaos.rounds import Outcome
from tests.fakes.jsonl import JsonLines

RESULTS = "CHAOS_RESULTS"
# The table's column, and what evidence calls the number.
NUMBERS = {
    "messages": "messages accepted by the providers",
    "sent again": "messages in doubt and accepted again",
    "held": "messages accepted, held as outcome unknown",
}
# Short enough for a column.
RECOVERY = {
    "killed workers": "killed workers' triggers go on",
    "lost bell": "a trigger whose bell was lost begins",
    "PG: accepted": "PostgreSQL back: a trigger is accepted",
    "PG: begins": "PostgreSQL back: a trigger begins",
}
NONE = "-"


class Series:
    """The rounds of one run; with CHAOS_RESULTS set, each is appended to that file as it ends."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def add(self, outcome: Outcome, broke_off: BaseException | None = None) -> None:
        """Take a round in, whether it came to its end or `broke_off`."""
        wrong = list(outcome.faults)
        if broke_off is not None:
            wrong.append(f"broke off: {broke_off!r}")
        plan = outcome.plan
        self.records.append(
            {
                "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "seed": plan.seed,
                "broker": plan.broker,
                "broker_is": outcome.broker_is,
                "triggers": plan.triggers,
                **{name.replace(" ", "_"): outcome.numbers.get(long) for name, long in NUMBERS.items()},
                "recovery_seconds": {name: round(seconds, 2) for name, seconds in outcome.recovery.items()},
                "seconds": round(outcome.seconds, 1),
                "is_clean": not wrong,
                "wrong": wrong,
                "faults": dict(sorted(outcome.done.items())),
                "answers": dict(sorted(outcome.answers.items())),
                "numbers": outcome.numbers,
            }
        )
        if path := os.environ.get(RESULTS):
            lines = JsonLines(Path(path))
            lines.append(self.records[-1])
            lines.close()

    def table(self) -> str:
        """Return a line for each round, under a heading, and how many were clean."""
        heading = ["seed", "broker", "triggers", *NUMBERS, *RECOVERY, "result"]
        rows = [heading, *(_row(record) for record in self.records)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        allowed = ", ".join(f"{short} {recovery.LIMITS[name]:.0f}" for short, name in RECOVERY.items())
        clean = sum(record["is_clean"] for record in self.records)
        return "\n".join([*lines, f"Seconds allowed: {allowed}.", f"{clean} of {len(self.records)} rounds clean."])


def _row(record: Mapping[str, Any]) -> Sequence[str]:
    wrong = record["wrong"]
    result = "clean" if not wrong else "broke off" if wrong[-1].startswith("broke off") else f"{len(wrong)} WRONG"
    numbers = [record["triggers"], *(record[name.replace(" ", "_")] for name in NUMBERS)]
    times = [record["recovery_seconds"].get(name) for name in RECOVERY.values()]
    return [
        str(record["seed"]),
        record["broker"],
        *(NONE if number is None else str(number) for number in numbers),
        *(NONE if seconds is None else f"{seconds:.1f}" for seconds in times),
        result,
    ]
