"""Accepted triggers a second: one POST for each, and many in one POST; beside an Express service that does the same."""

import json
import statistics
import threading
import time
from collections import defaultdict

from benchmarks.bench import Bench, percentile
from benchmarks.environment import Database, place
from benchmarks.peers import express
from benchmarks.peers.install import NotInstalled, node_peers, node_versions
from benchmarks.posting import PATH, Posted, send_all, send_large, trigger_item, trigger_request
from benchmarks.rows import forget
from benchmarks.web import web

REQUESTS = 8_000
CONNECTIONS = 32
BULK_PATH = f"{PATH}bulk/"
BULK_SIZES = {1_000: 60, 10_000: 8}
BULK_AT_ONCE = 4
# What a warm process has done before, also on the other side.
WARM_UP = 500


class BulkRefused(Exception):
    """The bulk endpoint answered otherwise; the message says how."""


def run(bench: Bench) -> None:
    """Post to ours and to the peer in turns, then in bulk."""
    samples: defaultdict[str, list[float]] = defaultdict(list)
    with place() as where, where.database() as database:
        where.fixtures("workflows", "three-nodes")
        token = where.fixtures("operator")
        has_peer = _has_peer(bench)
        for number in range(1, bench.rounds + 1):
            with web(where) as port:
                samples["single"].append(_single(bench, database, port, token=token, whose="NotifyFlow"))
                _bulk(bench, database, port, token=token, number=number, samples=samples)
            if has_peer:
                with express.api(where) as port:
                    samples["express"].append(_single(bench, database, port, token=express.token(), whose="Express"))
    bench.bar("ingest", samples["single"], samples["express"], note="" if has_peer else "Express can't run here")
    bulk = {size: samples[f"bulk {size}"] for size in BULK_SIZES if samples[f"bulk {size}"]}
    if len(bulk) == len(BULK_SIZES):
        slowest = min(bulk.values(), key=statistics.median)
        medians = ", ".join(f"{size:,} at once {statistics.median(found):,.0f}" for size, found in bulk.items())
        bench.bar("bulk", slowest, samples["single"], note=f"the slower of {medians}")


def _has_peer(bench: Bench) -> bool:
    try:
        node_peers()
    except NotInstalled as error:
        bench.say(f"ingest: left out: {error}")
        return False
    bench.peers |= node_versions()
    return True


def _single(bench: Bench, database: Database, port: int, *, token: str, whose: str) -> float:
    """Post one by one and return requests a second."""
    forget(database)
    _post(port, token, "warm", WARM_UP)
    posted = _post(port, token, "post", bench.sized(REQUESTS, least=500))
    late = {f"p{percent}_ms": percentile(posted.late_ms, percent) for percent in (50, 95, 99)}
    bench.figure("ingest", f"{whose}, single POST", posted.rate, "requests/s", connections=CONNECTIONS, **late)
    return posted.rate


def _post(port: int, token: str, prefix: str, count: int) -> Posted:
    requests = [trigger_request(token, f"{prefix}-{number}", number) for number in range(count)]
    return send_all(port, requests, connections=CONNECTIONS).all_were(202)


def _bulk(
    bench: Bench, database: Database, port: int, *, token: str, number: int, samples: dict[str, list[float]]
) -> None:
    for size, count in BULK_SIZES.items():
        forget(database)
        try:
            bulk_rate(port, token, WARM_UP, BULK_AT_ONCE, prefix=f"warm-{number}-{size}")
            rate = bulk_rate(port, token, size, bench.sized(count, least=2), prefix=f"bulk-{number}")
        except BulkRefused as error:
            bench.bar("bulk", (), note=f"not measurable: {error}")
            bench.say(f"ingest: bulk of {size:,}: not measurable: {error}")
            continue
        samples[f"bulk {size}"].append(rate)
        bench.figure("ingest", f"bulk of {size:,}", rate, "triggers/s", at_once=BULK_AT_ONCE)


def bulk_rate(port: int, token: str, size: int, count: int, *, prefix: str) -> float:
    """Post so many bodies of so many triggers, some at once; return triggers a second. Raises BulkRefused."""
    bodies = [
        json.dumps(
            {
                "workflow": "three-nodes",
                "triggers": [trigger_item(f"{prefix}-{body}-{item}", item) for item in range(size)],
            }
        ).encode()
        for body in range(count)
    ]
    refused: list[str] = []

    def send(mine: list[bytes]) -> None:
        for body in mine:
            status, answer = send_large(port, body, BULK_PATH, token)
            if status not in (200, 201, 202):
                refused.append(f"{status} {answer[:120].decode(errors='replace')}")
                return

    threads = [threading.Thread(target=send, args=[bodies[each::BULK_AT_ONCE]]) for each in range(BULK_AT_ONCE)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - started
    if refused:
        raise BulkRefused(f"POST {BULK_PATH} answers {refused[0]}")
    return size * count / taken
