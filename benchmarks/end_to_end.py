"""The whole way on one machine: accepted by POST, then three nodes with intents and step rows, while more come in."""

import statistics
from collections import defaultdict
from contextlib import ExitStack

from benchmarks.backlog import ENDED, worker
from benchmarks.bench import Bench, percentile
from benchmarks.environment import Database, Place, place, wait_until
from benchmarks.peers import express
from benchmarks.peers.install import NotInstalled, node_peers, node_versions
from benchmarks.posting import send_all, trigger_request
from benchmarks.rows import TABLES, forget
from benchmarks.web import web

TRIGGERS = 15_000
PEER_TRIGGERS = 5_000
CONNECTIONS = 32
LOAD = 0.8
LOAD_SECONDS = 20
# Processes and concurrency of the peer's workers, tried before the rounds.
PEER_SHAPES = ((1, 16), (2, 8), (2, 16), (2, 32))
KEY = {"key": "three-nodes"}
COMPLETED = (
    "SELECT count(*), extract(epoch FROM max(completed_at) - min(created_at)),"
    " percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - created_at))"
    " FROM triggers_trigger WHERE status = 'completed'"
)
# A step ends when the provider has answered, so this is a little more than until the message was handed over.
HANDED_OVER = (
    "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP"
    " (ORDER BY extract(epoch FROM s.finished_at - t.created_at))"
    " FROM triggers_trigger t JOIN execution_step s ON s.trigger_id = t.id AND s.node_id = %(node)s"
    " WHERE t.workflow_id = (SELECT id FROM workflows_workflow WHERE key = %(key)s)"
)


def run(bench: Bench) -> None:
    """Measure ours and the peer in turns, then ours at 80 % of what it can."""
    samples: defaultdict[str, list[float]] = defaultdict(list)
    with place() as where, where.database() as database:
        where.fixtures("workflows", "three-nodes")
        token = where.fixtures("operator")
        shape = _peer_shape(bench, where, database)
        for _ in range(bench.rounds):
            samples["ours"].append(_ours(bench, where, database, token))
            if shape is not None:
                samples["peer"].append(_peer(bench, where, database, shape, bench.sized(PEER_TRIGGERS, least=200)))
        bench.bar("end_to_end", samples["ours"], samples["peer"], note="" if shape else "Express can't run here")
        _under_load(bench, where, database, token, rate=LOAD * statistics.median(samples["ours"]))


def _ours(bench: Bench, where: Place, database: Database, token: str) -> float:
    with ExitStack() as stack:
        port = stack.enter_context(web(where))
        stack.enter_context(worker(where, concurrency=2, has_beat=True))
        return _through(bench, database, port, token=token, count=bench.sized(TRIGGERS, least=300), whose="NotifyFlow")


def _peer(bench: Bench, where: Place, database: Database, shape: tuple[int, int], count: int) -> float:
    with ExitStack() as stack:
        port = stack.enter_context(express.api(where))
        processes, concurrency = shape
        stack.enter_context(express.workers(where, processes=processes, concurrency=concurrency))
        return _through(bench, database, port, token=express.token(), count=count, whose="Express")


def _peer_shape(bench: Bench, where: Place, database: Database) -> tuple[int, int] | None:
    try:
        node_peers()
    except NotInstalled as error:
        bench.say(f"end_to_end: left out: {error}")
        return None
    bench.peers |= node_versions()
    count = bench.sized(PEER_TRIGGERS // 4, least=200)
    return bench.best(
        "Express workers (processes, concurrency)",
        PEER_SHAPES,
        lambda shape: _peer(bench, where, database, shape, count),
    )


def _through(bench: Bench, database: Database, port: int, *, token: str, count: int, whose: str) -> float:
    """Post triggers as fast as they are taken, wait for the last one's end, and return triggers a second."""
    forget(database)
    database.execute(f"VACUUM ANALYZE {TABLES}")
    requests = [trigger_request(token, f"through-{number}", number) for number in range(count)]
    posted = send_all(port, requests, connections=CONNECTIONS).all_were(202)
    wait_until(database, ENDED, KEY, seconds=60 + count / 20, what=f"{count:,} triggers carried through")
    completed, seconds, late = database.execute(COMPLETED).fetchone() or (0, 0, [])
    assert completed == count, f"{completed} of {count} were completed."
    rate = count / float(seconds)
    bench.figure("end_to_end", whose, rate, "triggers/s", accepted_per_s=posted.rate, **_percentiles(late))
    return rate


def _under_load(bench: Bench, where: Place, database: Database, token: str, *, rate: float) -> None:
    """Post at a steady rate and tell how long it takes from acceptance to the provider."""
    count = int(rate * max(LOAD_SECONDS * min(bench.scale, 1), 3))
    with ExitStack() as stack:
        port = stack.enter_context(web(where))
        stack.enter_context(worker(where, concurrency=2, has_beat=True))
        forget(database)
        database.execute(f"VACUUM ANALYZE {TABLES}")
        requests = [trigger_request(token, f"load-{number}", number) for number in range(count)]
        posted = send_all(port, requests, connections=2 * CONNECTIONS, rate=rate).all_were(202)
        wait_until(database, ENDED, KEY, seconds=60 + count / 20, what=f"{count:,} triggers carried through")
    (handed_over,) = database.execute(HANDED_OVER, {**KEY, "node": "confirm"}).fetchone() or ([],)
    answers = {f"answer_p{percent}_s": percentile(posted.late_ms, percent) / 1000 for percent in (50, 95, 99)}
    more = {**_percentiles(handed_over), **answers, "rate": posted.rate}
    what = f"at {LOAD:.0%} of capacity, accept to provider hand-over, p99"
    bench.figure("end_to_end", what, float(handed_over[2]), "s", **more)


def _percentiles(found: list[float]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(("p50_s", "p95_s", "p99_s"), found, strict=True)}
