"""Many at once: 10,000 open connections that all post, and one trigger asked for by a hundred at the same moment."""

import json

from benchmarks.bench import Bench, percentile
from benchmarks.environment import place
from benchmarks.posting import send_all, trigger_request
from benchmarks.web import web

CONNECTIONS = 10_000
REQUESTS_EACH = 2
TWINS = 100


def run(bench: Bench) -> None:
    """Post over many connections; no error and no refusal is expected."""
    with place() as where, where.database() as database:
        where.fixtures("workflows", "three-nodes")
        token = where.fixtures("operator")
        with web(where) as port:
            connections = bench.sized(CONNECTIONS, least=200)
            count = connections * REQUESTS_EACH
            requests = [trigger_request(token, f"many-{number}", number) for number in range(count)]
            posted = send_all(port, requests, connections=connections)
            late = {f"p{percent}_ms": percentile(posted.late_ms, percent) for percent in (50, 99)}
            what = f"{connections:,} open connections"
            errors = dict(posted.errors) or "none"
            bench.figure("concurrency", what, posted.rate, "requests/s", errors=errors, **late)
            posted.all_were(202)
            twins = [trigger_request(token, "the-same", 1)] * TWINS
            answered = send_all(port, twins, connections=TWINS, keep_bodies=True)
            ids = {json.loads(body)["id"] for body in answered.bodies}
            (stored,) = database.execute(
                "SELECT count(*) FROM triggers_trigger WHERE idempotency_key = 'the-same'"
            ).fetchone() or (0,)
            assert (len(ids), stored) == (1, 1), f"{len(ids)} ids were answered and {stored} triggers stored."
            assert answered.statuses == {202: 1, 200: TWINS - 1}, answered.statuses
            bench.figure("concurrency", f"{TWINS} identical POSTs at once", stored, "trigger(s) made")
