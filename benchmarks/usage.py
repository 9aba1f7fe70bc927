"""What processes cost: processor time and memory of a process and its children, read from /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and all below it: seconds on a processor, and MB of memory.

    `worker_mb` is the resident size of the largest process that has no children: one worker process. `all_mb` counts
    what several share only once.
    """

    cpu_seconds: float
    worker_mb: float
    all_mb: float


def usage(pid: int) -> Usage:
    """Return what the process and its descendants use now, and have used so far."""
    parents = _parents()
    tree = _tree(pid, parents)
    leaves = [each for each in tree if each not in parents.values()] or [pid]
    return Usage(
        sum(_cpu_seconds(each) for each in tree),
        max(_megabytes(each, "Rss:") for each in leaves),
        sum(_megabytes(each, "Pss:") for each in tree),
    )


def wait_for_children(pid: int, count: int, *, seconds: float = 60) -> None:
    """Wait until a worker has its pool, and a moment longer for what it does then. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while len(_tree(pid, _parents())) <= count:
        if time.monotonic() > until:
            raise TimeoutError(f"Process {pid} had not {count} children within {seconds} s.")
        time.sleep(0.1)
    time.sleep(2)


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int(_stat(int(path.name))[1])
        except (OSError, IndexError):
            continue  # it has ended meanwhile
    return parents


def _tree(pid: int, parents: dict[int, int]) -> list[int]:
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on; the name before it may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(pid: int) -> float:
    try:
        fields = _stat(pid)
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _megabytes(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
