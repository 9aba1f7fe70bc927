"""`make bench`: measures, prints a table with each bar, and keeps the numbers as JSON in benchmarks/results/.

make bench ARGS="engine ingest" runs some parts; BENCH_SCALE=0.1 makes everything smaller, for a quick look.
"""

import argparse
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from benchmarks.bench import Bench
from benchmarks.parts import PARTS


def main() -> int:
    """Run the parts that the command line names, or all; return 1 when one could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of: {', '.join(PARTS)} (all of them)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each comparison (3)")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"There is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}.")
    signal.signal(signal.SIGTERM, _end)
    bench = Bench(scale=float(os.environ.get("BENCH_SCALE", "1")), rounds=options.rounds)
    for part in options.parts or PARTS:
        _measure(bench, part)
    path = bench.report()
    print(f"Kept in {path.relative_to(Path.cwd())}")
    return 1 if bench.failures else 0


def _measure(bench: Bench, part: str) -> None:
    """Run one part; what goes wrong in it is told, and the others are measured all the same."""
    bench.say(f"{part} begins")
    started = time.monotonic()
    try:
        PARTS[part](bench)
    except Exception as error:  # noqa: BLE001  # told in full, and again below the table
        traceback.print_exc()
        bench.failures[part] = f"{type(error).__name__}: {error}"
    bench.seconds[part] = time.monotonic() - started


def _end(number: int, frame: FrameType | None) -> None:
    """Leave as after an exception, so that databases, queues and processes are cleaned up."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
