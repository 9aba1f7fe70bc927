"""How long it takes until work goes on after a loss, measured on a world that is otherwise left alone."""

import time
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.clients import Clients
from tests.chaos.world import LEASE_SECONDS, PREFIX, WORKERS, World
from tests.e2e.processes import wait_until
from triggers.bells import FLAG_SECONDS

# What the contract allows: a lease and half a minute, whatever the lease is.
LIMITS = {
    "killed workers' triggers go on": LEASE_SECONDS + 30.0,
    "a trigger whose bell was lost begins": 5.0,
    "PostgreSQL back: a trigger is accepted": 10.0,
    "PostgreSQL back: a trigger begins": 10.0,
}
HELD = 40
LOOK_SECONDS = 0.1
# Bells of earlier triggers, for their delay and their retries, would ring for the next one too.
QUIET_SECONDS = 6.0


def measure(world: World, clients: Clients, first_number: int) -> dict[str, float]:
    """Return the seconds of each kind of loss; triggers get numbers from `first_number` on."""
    found: dict[str, float] = {}
    _see_one_through(world, clients, first_number)
    first_number += 1
    with psycopg.connect(world.postgres.url, autocommit=True, row_factory=dict_row) as looking:
        found["a trigger whose bell was lost begins"] = _lost_bell(world, clients, looking, first_number)
        found["killed workers' triggers go on"] = _killed_workers(world, clients, looking, first_number + 10)
    found |= _restarted_database(world, clients, first_number + 10 + HELD)
    return found


def _see_one_through(world: World, clients: Clients, number: int) -> None:
    """Return when a worker has begun a trigger, which it can't while it waits to connect to its broker again."""
    trigger = clients.trigger(number, priority="high")
    with psycopg.connect(world.postgres.url, autocommit=True, row_factory=dict_row) as looking:
        _first_step(looking, trigger["id"])


def _lost_bell(world: World, clients: Clients, looking: psycopg.Connection[Any], number: int) -> float:
    """Leave a bell's flag up, as one leaves it that the broker lost just now, and see when the trigger begins."""
    waits = []
    for each in range(number, number + 2):
        time.sleep(QUIET_SECONDS)
        with world.cache.client() as cache:
            cache.set(f"{PREFIX}:1:bell:high", 1, ex=FLAG_SECONDS)
        trigger = clients.trigger(each, priority="high")
        accepted_at = datetime.fromisoformat(str(trigger["available_at"]))
        waits.append((_first_step(looking, trigger["id"]) - accepted_at).total_seconds())
    return max(waits)


def _first_step(looking: psycopg.Connection[Any], trigger: object) -> datetime:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        row = looking.execute(
            "SELECT min(started_at) AS at FROM execution_step WHERE trigger_id = %s", [trigger]
        ).fetchone()
        if row is not None and row["at"] is not None:
            began: datetime = row["at"]
            return began
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"Trigger {trigger} did not begin within 30 s.")


def _killed_workers(world: World, clients: Clients, looking: psycopg.Connection[Any], number: int) -> float:
    """Kill every worker while it waits for slow providers, and see when the last of what they held goes on."""
    for provider in world.providers:
        provider.slow(0.5)
    for each in range(number, number + HELD):
        clients.trigger(each, priority="critical")

    def held() -> dict[str, Any]:
        rows = looking.execute("SELECT id, claim_id FROM triggers_trigger WHERE status = 'processing'")
        return {row["id"]: row["claim_id"] for row in rows}

    wait_until(lambda: len(held()) > 0, seconds=20, what="a worker holds triggers")
    before = held()
    for name in WORKERS:
        world.supervisor.kill(name)
    began = time.monotonic()
    for provider in world.providers:
        provider.slow(0)

    def waiting() -> bool:
        rows = looking.execute(
            "SELECT id, claim_id FROM triggers_trigger WHERE id = ANY(%s)"
            " AND (status = 'processing' OR status = 'enqueued' AND available_at <= now())",
            [list(before)],
        )
        return any(row["claim_id"] in {None, before[row["id"]]} for row in rows)

    wait_until(lambda: not waiting(), seconds=LEASE_SECONDS + 60, what="what the killed workers held goes on")
    return time.monotonic() - began


def _restarted_database(world: World, clients: Clients, number: int) -> dict[str, float]:
    """Stop PostgreSQL immediately for a second, and see how long after its return a trigger is accepted and begins."""
    world.postgres.crash()
    time.sleep(1)
    world.postgres.start()
    wait_until(world.postgres.answers, seconds=30, what="PostgreSQL is back")
    back = time.monotonic()
    trigger = clients.trigger(number, priority="high")
    accepted = time.monotonic() - back
    with psycopg.connect(world.postgres.url, autocommit=True, row_factory=dict_row) as looking:
        _first_step(looking, trigger["id"])
    return {
        "PostgreSQL back: a trigger is accepted": accepted,
        "PostgreSQL back: a trigger begins": time.monotonic() - back,
    }
