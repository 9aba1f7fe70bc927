"""Sends a second of one worker process while the provider takes 100 ms for each message."""

import statistics

from benchmarks.backlog import work_off
from benchmarks.bench import Bench
from benchmarks.environment import place
from benchmarks.providers import provider

TRIGGERS = 8_000
MILLISECONDS = 100
# By default as few as any mail server takes; this one takes as many as a relay of one's own can be told to.
EMAIL_CONNECTIONS = 160


def run(bench: Bench) -> None:
    """Send emails over SMTP and SMS over HTTP in turns; the slower of the two is held against the bar."""
    rates: dict[str, list[float]] = {"one-email": [], "one-sms": []}
    with place() as where, provider(where, milliseconds=MILLISECONDS) as reached:
        where.fixtures("workflows", *rates)
        connections = {"EMAIL_CONNECTIONS": str(EMAIL_CONNECTIONS)}
        under = where.under(EMAIL_URL=reached.email_url, **connections, **reached.sms)
        for number in range(1, bench.rounds + 1):
            for key, found in rates.items():
                worked = work_off(under, key, bench.sized(TRIGGERS, least=500), workers=1)
                found.append(worked.rate)
                more = {**worked.more, "per_mb": worked.rate / worked.worker_mb}
                bench.figure("slow_provider", f"{key}, round {number}", worked.rate, "sends/s", **more)
    slowest = min(rates.values(), key=statistics.median)
    medians = ", ".join(f"{key} {statistics.median(found):,.0f}" for key, found in rates.items())
    bench.bar("slow_provider", slowest, note=f"the slower of {medians}")
