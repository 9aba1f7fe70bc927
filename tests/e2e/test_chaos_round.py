"""A short round of tests/chaos with every change: always the same seed, under a minute on two cores."""

import sys

import pytest

from tests.chaos.rounds import Plan, run_round

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PLAN = Plan(seed=20260917, broker="rabbitmq", triggers=300, seconds=16, faults=13, with_recovery=False)


def test_a_short_round_of_chaos_ends_clean(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_round(PLAN, say=lambda line: None)

    with capsys.disabled():
        sys.stdout.write(f"\n{outcome.table()}\n")
    assert outcome.faults == []
