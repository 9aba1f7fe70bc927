"""Steps a second where a workflow waits, joins, or has to try again."""

from benchmarks.backlog import work_off
from benchmarks.bench import Bench
from benchmarks.environment import place
from benchmarks.providers import provider

TRIGGERS = 30_000
# Here a message goes over a socket, which costs more than a step.
TRIGGERS_OVER_SMTP = 10_000


def run(bench: Bench) -> None:
    """Work off a backlog of each shape with two workers."""
    with place() as where:
        where.fixtures("workflows", "three-nodes", "delay", "join", "retry")
        for key, what in (("delay", "a second's delay between nodes"), ("join", "a fork and a join")):
            worked = work_off(where, key, bench.sized(TRIGGERS, least=500), workers=2, has_beat=True)
            bench.figure("shapes", f"with {what}, 2 workers", worked.rate, "steps/s", **worked.more)
        for percent in (0, 10):
            with provider(where, milliseconds=0, fail_percent=percent) as reached:
                under = where.under(EMAIL_URL=reached.email_url)
                worked = work_off(under, "retry", bench.sized(TRIGGERS_OVER_SMTP, least=300), workers=2, has_beat=True)
            what = f"emails over SMTP, of which {percent} % fail at first"
            bench.figure("shapes", f"with {what}, 2 workers", worked.rate, "steps/s", **worked.more)
