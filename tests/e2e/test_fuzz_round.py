"""A bounded round of tests/fuzz with every change: always the same seed, about a minute on two cores."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from accounts.roles import Role
from tests.fuzz.rounds import GETS_DONE, Round, run_round
from tests.fuzz.service import ANONYMOUS, Service, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SEED = 20260305
EXAMPLES = 5
# What the examples of the schema, which come first, get done: so even on a machine that is busy with other things.
CERTAIN = {"workflows_create", "templates_preview_create", "triggers_create", "users_create"}
# Two at a time. A manager and an admin take turns: each would miss the workflows that the other deletes.
LANES = (
    ((Role.SYSTEM_ADMIN, 24), (Role.WORKFLOW_MANAGER, 16)),
    ((Role.TRIGGER_OPERATOR, 18), (Role.WORKER_SERVICE, 10), (ANONYMOUS, 8)),
)


def run_lane(service: Service, lane: tuple[tuple[str, int], ...]) -> dict[str, Round]:
    """Run a round as each caller of the lane, for so many seconds."""
    return {
        caller: run_round(service, caller, seed=SEED, seconds=seconds, examples=EXAMPLES) for caller, seconds in lane
    }


def test_generated_requests_of_every_role_find_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(tmp_path) as service, ThreadPoolExecutor(len(LANES)) as pool:
        lanes = list(pool.map(lambda lane: run_lane(service, lane), LANES))

        for caller, found in (pair for lane in lanes for pair in lane.items()):
            with capsys.disabled():
                sys.stdout.write(f"\n{caller}: {found.requests} requests; seed {SEED}")
            if not found.is_clean:
                pytest.fail(found.output, pytrace=False)
            assert found.succeeded() >= GETS_DONE[caller] & CERTAIN
        assert service.crashes() == ""
