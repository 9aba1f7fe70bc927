"""`make chaos`: ROUNDS rounds, each from a new seed unless CHAOS_SEED gives the first; BROKER is rabbitmq or redis."""

import os
import sys

import pytest

from tests.chaos.rounds import Plan, run_round

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(0)]

ROUNDS = int(os.environ.get("ROUNDS") or 1)
BROKERS = (os.environ.get("BROKER") or "rabbitmq,redis").split(",")
TRIGGERS = int(os.environ.get("CHAOS_TRIGGERS") or 5000)
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 75)
FAULTS = int(os.environ.get("CHAOS_FAULTS") or 60)
# Set for the processes that pytest-xdist might start, so that all agree on the names of the tests.
SEED = int(os.environ.setdefault("CHAOS_SEED", str(int.from_bytes(os.urandom(3), sys.byteorder))))


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_nothing_is_lost_and_nothing_is_stuck(seed: int, broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"  {line}\n")
            sys.stdout.flush()

    say(f"\nCHAOS_SEED={seed} BROKER={broker}: {TRIGGERS} triggers, {FAULTS} faults in {SECONDS:.0f} s")
    outcome = run_round(Plan(seed, broker, TRIGGERS, SECONDS, FAULTS), say=say)
    say(outcome.table())
    assert outcome.faults == []
