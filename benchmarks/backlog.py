"""A backlog of triggers, worked off by real workers: how fast, and what it cost."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.environment import Database, Place, wait_until
from benchmarks.rows import TABLES, forget, multiply
from benchmarks.usage import Usage, usage, wait_for_children

ENDED = (
    "SELECT NOT EXISTS (SELECT FROM triggers_trigger WHERE status IN ('enqueued', 'processing')"
    " AND workflow_id = (SELECT id FROM workflows_workflow WHERE key = %(key)s))"
)
STEPS = (
    "SELECT count(*), extract(epoch FROM max(finished_at) - min(started_at)) FROM execution_step"
    " WHERE status <> 'skipped'"
)
FAILED = "SELECT count(*) FROM triggers_trigger WHERE status <> 'completed'"


@dataclass(frozen=True, slots=True)
class Worked:
    """What working a backlog off took, from the first intent to the last outcome; the steps' own times."""

    steps: int
    seconds: float
    cpu_seconds: float
    worker_mb: float
    all_mb: float

    @property
    def rate(self) -> float:
        """Return steps a second."""
        return self.steps / self.seconds

    @property
    def more(self) -> dict[str, float]:
        """Return what it cost, for a figure."""
        return {
            "workers_cpu_seconds": self.cpu_seconds,
            "cpu_us_per_step": self.cpu_seconds / self.steps * 1e6,
            "worker_mb": self.worker_mb,
            "workers_mb": self.all_mb,
        }


@contextmanager
def worker(where: Place, *, concurrency: int, has_beat: bool = False) -> Iterator[int]:
    """Run a Celery worker, with the beat where something has to come due later, and yield the worker's pid."""
    with ExitStack() as stack:
        process = stack.enter_context(where.process("worker", *where.worker(concurrency=concurrency)))
        wait_for_children(process.pid, concurrency)
        if has_beat:
            stack.enter_context(where.process("beat", *where.beat()))
        yield process.pid


def fill(where: Place, database: Database, key: str, count: int) -> None:
    """Forget all triggers and make so many due ones."""
    forget(database)
    source = where.fixtures("trigger", key)
    multiply(database, source, prefix=key, first=1, last=count, created_at="now()", available_at="now()")
    database.execute("DELETE FROM triggers_trigger WHERE id = %s", [source])
    database.execute(f"VACUUM ANALYZE {TABLES}")


def work_off(where: Place, key: str, count: int, *, workers: int, has_beat: bool = False) -> Worked:
    """Fill the backlog, start the workers, ring once and wait for the last trigger. All must be completed."""
    with where.database() as database:
        fill(where, database, key, count)
        with worker(where, concurrency=workers, has_beat=has_beat) as pid:
            before = usage(pid)
            where.fixtures("ring", "medium")
            wait_until(database, ENDED, {"key": key}, seconds=60 + count / 50, what=f"{count:,} of {key}")
            after = usage(pid)
        return _worked(database, before, after)


def _worked(database: Database, before: Usage, after: Usage) -> Worked:
    steps, seconds = database.execute(STEPS).fetchone() or (0, 0)
    (failed,) = database.execute(FAILED).fetchone() or (0,)
    assert not failed, f"{failed} triggers were not completed."
    cpu = after.cpu_seconds - before.cpu_seconds
    return Worked(int(steps), float(seconds), cpu, after.worker_mb, after.all_mb)
