"""Durable steps a second: a backlog of three-node triggers, one worker process, providers that do nothing."""

import subprocess
import sys

import psycopg

from benchmarks.environment import ROOT, Place, wait_for_count

TRIGGERS = 10_000
NODES = 3
TIME_TAKEN = "SELECT extract(epoch FROM max(finished_at) - min(started_at)) FROM execution_step WHERE started_at >= %s"
COMPLETED = "SELECT count(*) FROM triggers_trigger WHERE status = 'completed'"


def steps_per_second(where: Place, round_number: int) -> float:
    """Fill the backlog, ring once, and return how fast it was worked off, from the first intent to the last outcome.

    Both times are the steps' own; the start of the process that rings is not in them.
    """
    fixtures(where, "backlog", "--count", str(TRIGGERS), "--prefix", f"round-{round_number}")
    with psycopg.connect(where.database_url, autocommit=True) as database:
        database.execute("VACUUM ANALYZE triggers_trigger, execution_step")
        now = database.execute("SELECT now()").fetchone()
        assert now is not None
        fixtures(where, "ring")
        wait_for_count(database, COMPLETED, TRIGGERS * (round_number + 1), seconds=300)
        taken = database.execute(TIME_TAKEN, now).fetchone()
    assert taken is not None
    return TRIGGERS * NODES / float(taken[0])


def fixtures(where: Place, *arguments: str) -> str:
    """Run benchmarks.fixtures in the place and return what it printed."""
    command = [sys.executable, "-m", "benchmarks.fixtures", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=where.environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
