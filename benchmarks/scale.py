"""How times and memory grow with the data: 10 thousand, a million and 10 million triggers, made in the database.

Of all triggers a tenth waits for a delay and a twentieth is due, in a lane of its own; the others have ended within the
last month. Their steps are not made, except for those that are purged.
"""

import json
import statistics
import time
from dataclasses import dataclass, field

from benchmarks.backlog import ENDED, worker
from benchmarks.bench import Bench, percentile
from benchmarks.environment import Database, Place, place, wait_until
from benchmarks.posting import PATH, request, send_all, trigger_request
from benchmarks.purging import purge
from benchmarks.rows import TABLES, multiply
from benchmarks.usage import usage
from benchmarks.web import web

SIZES = (10_000, 1_000_000, 10_000_000)
PURGED = 1_000_000
CHUNK = 250_000
CLAIMS = 41
REQUESTS = 200
LEAST_DUE = 2_000
MONTH_SECONDS = 30 * 24 * 3600
WARM_TRIGGERS = 3_000
WAITING = "SELECT NOT EXISTS (SELECT FROM triggers_trigger WHERE run_state IS NULL OR status = 'processing')"
LISTS = {"list": PATH, "list of completed": f"{PATH}?workflow=three-nodes&status=completed"}


@dataclass(slots=True)
class Data:
    """What stands in the database, and the ids of the triggers that the others are copies of."""

    where: Place
    database: Database
    token: str
    total: int
    completed: str = ""
    waiting: str = ""
    due: str = ""
    made: dict[str, int] = field(default_factory=lambda: {"completed": 0, "waiting": 0, "due": 0})


def run(bench: Bench) -> None:
    """Grow the data step by step and measure at each size."""
    sizes = sorted({bench.sized(size, least=SIZES[0]) for size in SIZES})
    with place() as where, where.database() as database:
        where.fixtures("workflows", "three-nodes", "tomorrow", "low")
        data = Data(where, database, where.fixtures("operator"), sizes[-1])
        without = [_worker_mb(data, f"none-{number}") for number in range(bench.rounds)]
        _make_sources(data)
        claims: dict[int, list[float]] = {}
        for size in sizes:
            _grow(bench, data, size)
            claims[size] = _measure(bench, data, size)
            if size == sizes[min(1, len(sizes) - 1)]:
                purge(bench, database, data.completed, bench.sized(PURGED, least=2_000))
        waiting = [_worker_mb(data, f"many-{number}") for number in range(bench.rounds)]
        bench.bar("memory", waiting, without, note=f"{data.made['waiting']:,} waiting")
        bench.bar("claim", claims[sizes[-1]], claims[sizes[0]], note=f"{sizes[-1]:,} against {sizes[0]:,} rows")


def _worker_mb(data: Data, prefix: str) -> float:
    """Have a fresh worker process do some work, and return its memory."""
    source = data.where.fixtures("trigger", "three-nodes")
    now = {"created_at": "now()", "available_at": "now()"}
    with worker(data.where, concurrency=1) as pid:
        multiply(data.database, source, prefix=prefix, first=1, last=WARM_TRIGGERS, **now)
        data.database.execute("DELETE FROM triggers_trigger WHERE id = %s", [source])
        data.where.fixtures("ring", "medium")
        wait_until(data.database, ENDED, {"key": "three-nodes"}, seconds=300, what="a worker's work")
        return usage(pid).worker_mb


def _make_sources(data: Data) -> None:
    """Have the engine carry one trigger to its end and one to its delay, so that their rows are real."""
    where, database = data.where, data.database
    data.completed = where.fixtures("trigger", "three-nodes")
    data.waiting = where.fixtures("trigger", "tomorrow")
    with worker(where, concurrency=1):
        ids = [data.completed, data.waiting]
        database.execute("UPDATE triggers_trigger SET available_at = now() WHERE id = ANY(%s)", [ids])
        where.fixtures("ring", "medium")
        wait_until(database, WAITING, seconds=60, what="the first triggers")
    data.due = where.fixtures("trigger", "low")


def _grow(bench: Bench, data: Data, size: int) -> None:
    """Insert what is missing, in chunks."""
    started = time.monotonic()
    wanted = {"waiting": size // 10, "due": max(size // 20, LEAST_DUE)}
    wanted["completed"] = size - sum(wanted.values())
    # Ids and times grow with the number, as if all had come evenly within the last month.
    moment = f"(now() - ({data.total} - n) * interval '{MONTH_SECONDS / data.total:.6f} seconds')"
    times = {
        "completed": {"completed_at": f"{moment} + interval '1 second'", "available_at": moment},
        "waiting": {"available_at": "now() + interval '1 day' + n * interval '1 millisecond'"},
        "due": {"available_at": "now() - interval '1 hour' + n * interval '1 millisecond'"},
    }
    sources = {"completed": data.completed, "waiting": data.waiting, "due": data.due}
    for kind, count in wanted.items():
        for first in range(data.made[kind] + 1, count + 1, CHUNK):
            last = min(first + CHUNK - 1, count)
            more = {"created_at": moment, "updated_at": moment, **times[kind]}
            multiply(data.database, sources[kind], prefix=kind, first=first, last=last, **more)
            if last % (4 * CHUNK) == 0:
                bench.say(f"scale: {last:,} {kind} triggers are in, {time.monotonic() - started:.0f} s")
        data.made[kind] = max(data.made[kind], count)
    data.database.execute(f"VACUUM ANALYZE {TABLES}")
    bench.figure("scale", f"grown to {size:,} triggers", time.monotonic() - started, "s")


def _measure(bench: Bench, data: Data, size: int) -> list[float]:
    """Measure claims, acceptance and lists; return the claims' milliseconds."""
    claims: list[float] = json.loads(data.where.fixtures("claims", "low", str(CLAIMS)))
    bench.figure("scale", f"claim at {size:,}", statistics.median(claims), "ms, median", p95=percentile(claims, 95))
    with web(data.where) as port:
        posts = [
            trigger_request(data.token, f"at-{size}-{each}", each, workflow="tomorrow") for each in range(REQUESTS)
        ]
        _time(bench, port, f"accept at {size:,}", posts, 202)
        for name, path in LISTS.items():
            _time(bench, port, f"{name} at {size:,}", [request("GET", path, data.token)] * REQUESTS, 200)
    # What was accepted here is no part of the data, and must not be worked off later.
    data.database.execute("DELETE FROM triggers_trigger WHERE idempotency_key LIKE %s", [f"at-{size}-%"])
    return claims


def _time(bench: Bench, port: int, what: str, requests: list[bytes], status: int) -> None:
    """Send requests one after the other and tell how long one takes."""
    found = send_all(port, requests, connections=1).all_were(status).late_ms
    bench.figure("scale", what, statistics.median(found), "ms, median", p95=percentile(found, 95))
