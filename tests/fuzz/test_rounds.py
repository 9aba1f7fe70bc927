"""`make fuzz`: as each caller, as long as FUZZ_SECONDS says in all, from a new seed unless FUZZ_SEED gives one."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.fuzz.rounds import GETS_DONE, run_round, seed_from_environment
from tests.fuzz.service import CALLERS, Service, running

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(0)]

SECONDS = int(os.environ.get("FUZZ_SECONDS") or 600)
EXAMPLES = 200
SEED = seed_from_environment()
# An access token holds for 15 minutes.
LONGEST_ROUND_SECONDS = 600


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run one service for all callers."""
    with running(tmp_path_factory.mktemp("fuzz")) as found:
        yield found


@pytest.mark.parametrize("caller", CALLERS)
def test_nothing_is_found(service: Service, caller: str, capsys: pytest.CaptureFixture[str]) -> None:
    left, seed = max(SECONDS // len(CALLERS), 1), SEED
    while left > 0:
        seconds = min(left, LONGEST_ROUND_SECONDS)
        found = run_round(service, caller, seed=seed, seconds=seconds, examples=EXAMPLES)
        with capsys.disabled():
            sys.stdout.write(f"\n{caller}: {found.requests} requests in {seconds} s; FUZZ_SEED={SEED} repeats them\n")
        if not found.is_clean:
            pytest.fail(found.output, pytrace=False)
        assert found.succeeded() >= GETS_DONE[caller]
        assert service.crashes() == ""
        left, seed = left - seconds, seed + 1
