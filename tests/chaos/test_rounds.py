"""`make chaos`: ROUNDS rounds, each from a new seed unless CHAOS_SEED gives the first; BROKER is rabbitmq or redis.

CHAOS_RESULTS is a file that gets a line of JSON for each.
"""

import os
import sys

import pytest

from tests.chaos.rounds import Outcome, Plan, run_round
from tests.chaos.series import Series
from tests.chaos.servers import MissingProgramsError, check_programs

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(0)]

ROUNDS = int(os.environ.get("ROUNDS") or 1)
BROKERS = (os.environ.get("BROKER") or "rabbitmq,redis").split(",")
TRIGGERS = int(os.environ.get("CHAOS_TRIGGERS") or 5000)
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 75)
FAULTS = int(os.environ.get("CHAOS_FAULTS") or 60)
# Set for the processes that pytest-xdist might start, so that all agree on the names of the tests.
SEED = int(os.environ.setdefault("CHAOS_SEED", str(int.from_bytes(os.urandom(3), sys.byteorder))))


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """End the run at once where a round could not even start."""
    try:
        check_programs()
    except MissingProgramsError as error:
        pytest.exit(str(error), returncode=1)


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_nothing_is_lost_and_nothing_is_stuck(
    seed: int, broker: str, series: Series, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"  {line}\n")
            sys.stdout.flush()

    say(f"\nCHAOS_SEED={seed} BROKER={broker}: {TRIGGERS} triggers, {FAULTS} faults in {SECONDS:.0f} s")
    outcome = Outcome(Plan(seed, broker, TRIGGERS, SECONDS, FAULTS))
    try:
        run_round(outcome.plan, say=say, outcome=outcome)
    except BaseException as error:
        series.add(outcome, error)
        raise
    series.add(outcome)
    say(outcome.table())
    assert outcome.faults == []
