"""Whether what is critical waits behind what is not: critical ones come in while 100,000 low ones are worked off."""

import statistics
from contextlib import ExitStack

from benchmarks.backlog import ENDED, fill, worker
from benchmarks.bench import Bench
from benchmarks.end_to_end import HANDED_OVER
from benchmarks.environment import URGENT_LANES, Database, Place, place, wait_until
from benchmarks.posting import send_all, trigger_request
from benchmarks.usage import wait_for_children
from benchmarks.web import web

LOW = 100_000
LEAST_LOW = 5_000
CRITICAL_PER_SECOND = 50
SECONDS = 10
LEFT = "SELECT count(*) FROM triggers_trigger WHERE status IN ('enqueued', 'processing') AND priority = 3"


def run(bench: Bench) -> None:
    """Measure the p99 from acceptance to hand-over, with the workers of the full profile: two, and an urgent one."""
    with place() as where, where.database() as database:
        where.fixtures("workflows", "low", "critical")
        token = where.fixtures("operator")
        found = [_round(bench, where, database, token, number) for number in range(1, bench.rounds + 1)]
    bench.bar("priority", found, note=f"behind {bench.sized(LOW, least=LEAST_LOW):,}")
    bench.figure("priority", "critical p99 behind low ones", statistics.median(found), "s, median")


def _round(bench: Bench, where: Place, database: Database, token: str, number: int) -> float:
    low = bench.sized(LOW, least=LEAST_LOW)
    count = int(CRITICAL_PER_SECOND * max(SECONDS * min(bench.scale, 1), 2))
    fill(where, database, "low", low)
    with ExitStack() as stack:
        port = stack.enter_context(web(where))
        urgent = where.worker(concurrency=1, name="urgent", lanes=URGENT_LANES)
        process = stack.enter_context(where.process("urgent", *urgent))
        stack.enter_context(worker(where, concurrency=2, has_beat=True))
        wait_for_children(process.pid, 1)
        where.fixtures("ring", "low")
        requests = [trigger_request(token, f"critical-{each}", each, workflow="critical") for each in range(count)]
        send_all(port, requests, connections=8, rate=CRITICAL_PER_SECOND).all_were(202)
        (left,) = database.execute(LEFT).fetchone() or (0,)
        wait_until(database, ENDED, {"key": "critical"}, seconds=120, what="critical triggers")
    ((p50, p95, p99),) = database.execute(HANDED_OVER, {"key": "critical", "node": "text"}).fetchone() or ((0, 0, 0),)
    more = {"p50_s": float(p50), "p95_s": float(p95), "low_left_behind": left}
    bench.figure("priority", f"critical p99 behind {low:,} low ones, round {number}", float(p99), "s", **more)
    assert left, "The low triggers were all done before the critical ones: more of them are needed."
    return float(p99)
