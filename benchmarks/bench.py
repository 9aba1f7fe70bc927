"""One run of the benchmark: how large, how many rounds, what was found; and its report."""

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.bars import BARS, Measured, judged

RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent of the values don't exceed (nearest rank); NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


@dataclass(slots=True)
class Bench:
    """What the parts are given: sizes and rounds to keep to, and a place for what they find."""

    scale: float = 1.0
    rounds: int = 3
    started: float = field(default_factory=time.monotonic)
    found: dict[str, Measured] = field(default_factory=dict)
    figures: list[dict[str, Any]] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def sized(self, full: int, *, least: int = 1) -> int:
        """Return a size of the full run as this run has it."""
        return max(least, int(full * self.scale))

    def say(self, text: str) -> None:
        """Print a line of progress with the time since the run began."""
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {text}", flush=True)

    def figure(self, part: str, name: str, value: float | None, unit: str, **more: Any) -> None:
        """Keep a number that is no bar, and print it; `more` goes along with it."""
        self.figures.append({"part": part, "name": name, "value": value, "unit": unit, **more})
        shown = "-" if value is None else number(value)
        detail = ", ".join(f"{key} {number(each) if isinstance(each, float) else each}" for key, each in more.items())
        self.say(f"{part}: {name}: {shown} {unit}{f' ({detail})' if detail else ''}")

    def bar(self, key: str, measured: Sequence[float], peer: Sequence[float] = (), *, note: str = "") -> None:
        """Keep the medians of a bar's samples; its report says `note` too."""
        self.found[key] = Measured(
            statistics.median(measured) if measured else None,
            statistics.median(peer) if peer else None,
            note,
            {"measured": list(measured), "peer": list(peer)},
        )

    def best(self, what: str, options: Sequence[T], measure: Callable[[T], float]) -> T:
        """Try each option twice, in turns, and return the one with the highest rate: peers are tuned this way."""
        rates = dict.fromkeys(options, 0.0)
        for option in (*options, *options):
            rates[option] = max(rates[option], measure(option))
        chosen = max(options, key=lambda option: rates[option])
        tried = ", ".join(f"{option}: {number(rate)}" for option, rate in rates.items())
        self.say(f"{what}: {chosen} is best ({tried})")
        self.figures.append({"part": "tuning", "name": what, "value": None, "unit": "", "chosen": str(chosen)})
        return chosen

    def _row(self, key: str) -> dict[str, Any]:
        found = self.found.get(key)
        if found is None:
            found = Measured(note="failed, see below" if BARS[key].part in self.failures else "not run")
        return judged(key, found)

    def report(self) -> Path:
        """Print the table of the bars and return where everything was kept."""
        rows = [self._row(key) for key in BARS]
        print(f"\n{'measured':>10} {'peer':>10} {'ratio':>8} {'bar':>8} {'stretch':>8}  {'met':>7}   what")
        for row in rows:
            print(_line(row))
        if self.peers:
            print("\nPeers: " + ", ".join(f"{name} {version}" for name, version in self.peers.items()))
        for part, error in self.failures.items():
            print(f"\n{part} could not be measured: {error}")
        total = time.monotonic() - self.started
        each = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in self.seconds.items())
        print(f"\nTook {total / 60:.1f} minutes ({each}) at scale {self.scale:g} with {self.rounds} rounds.")
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        kept = {
            "machine": machine(),
            "scale": self.scale,
            "rounds": self.rounds,
            "peers": self.peers,
            "seconds": self.seconds,
            "failures": self.failures,
            "bars": rows,
            "figures": self.figures,
        }
        path.write_text(json.dumps(kept, indent=2) + "\n")
        return path


def machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "load_after": os.getloadavg()}


def number(value: float) -> str:
    """Return a number with about three digits that matter."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(row: dict[str, Any]) -> str:
    cells = [
        f"{'-' if row[name] is None else number(row[name]):>{width}}"
        for name, width in (("measured", 10), ("peer", 10), ("ratio", 8), ("at_least", 8), ("stretch", 8))
    ]
    met = {None: "-", True: "yes", False: "NO"}[row["met"]] + ("+" if row["stretch_met"] else "")
    note = f" [{row['note']}]" if row["note"] else ""
    return f"{' '.join(cells)}  {met:>7}   {row['name']}, {row['unit']}{note}"
