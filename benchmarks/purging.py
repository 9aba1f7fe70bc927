"""How long it takes to delete a million ended triggers with their steps, in batches, as a retention job would."""

import time

from benchmarks.bench import Bench, percentile
from benchmarks.environment import Database
from benchmarks.rows import UUID7, columns, multiply

BATCH = 5_000
MAKE_CHUNK = 100_000
NEXT = (
    "SELECT array_agg(id), max(id::text) FROM (SELECT id FROM triggers_trigger WHERE id > %s::uuid"
    " AND idempotency_key LIKE 'purge-%%' ORDER BY id LIMIT %s) AS next"
)


def purge(bench: Bench, database: Database, source: str, count: int) -> None:
    """Make so many ended triggers with the steps of `source`, and delete them."""
    started = time.monotonic()
    long_ago = "timestamptz '2020-01-01' + n * interval '1 millisecond'"
    moments = dict.fromkeys(("created_at", "updated_at", "available_at", "completed_at"), f"({long_ago})")
    for first in range(1, count + 1, MAKE_CHUNK):
        last = min(first + MAKE_CHUNK - 1, count)
        multiply(database, source, prefix="purge", first=first, last=last, **moments)
        bench.say(f"scale: {last:,} triggers to purge are in")
    _make_steps(database, source)
    database.execute("VACUUM ANALYZE triggers_trigger, execution_step")
    bench.say(f"scale: made {count:,} triggers to purge in {time.monotonic() - started:.0f} s")
    _delete(bench, database, count)


def _make_steps(database: Database, source: str) -> None:
    names = columns(database, "execution_step")
    new_id = UUID7.format(moment="clock_timestamp()").replace("n::int", "(random() * 1e6)::int")
    values = {"id": new_id, "trigger_id": "p.id"}
    into = ", ".join(f'"{name}"' for name in names)
    chosen = ", ".join(values.get(name, f's."{name}"') for name in names)
    database.execute(
        f"INSERT INTO execution_step ({into}) SELECT {chosen} FROM triggers_trigger p, execution_step s"
        " WHERE p.idempotency_key LIKE 'purge-%%' AND s.trigger_id = %s",
        [source],
    )


def _delete(bench: Bench, database: Database, count: int) -> None:
    after = "00000000-0000-0000-0000-000000000000"
    taken: list[float] = []
    started = told_at = time.monotonic()
    while True:
        begun = time.monotonic()
        with database.transaction():
            ids, last = database.execute(NEXT, [after, BATCH]).fetchone() or (None, None)
            if not ids:
                break
            database.execute("DELETE FROM execution_step WHERE trigger_id = ANY(%s)", [ids])
            database.execute("DELETE FROM triggers_trigger WHERE id = ANY(%s)", [ids])
        after = last
        taken.append((time.monotonic() - begun) * 1000)
        if time.monotonic() - told_at > 10:
            told_at = time.monotonic()
            bench.say(f"scale: {len(taken) * BATCH:,} purged")
    seconds = time.monotonic() - started
    more = {"batch": BATCH, "batch_p50_ms": percentile(taken, 50), "batch_p99_ms": percentile(taken, 99)}
    bench.figure("scale", f"purge of {count:,} triggers and their steps", seconds, "s", **more)
