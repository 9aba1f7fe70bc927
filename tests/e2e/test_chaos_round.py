"""A short round of tests/chaos with every change: always the same seed, about a minute on two cores."""

import sys
import tempfile
from pathlib import Path

import pytest

from tests.chaos import servers
from tests.chaos.rounds import Plan, run_round

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# In this seed's plan the broker is killed after what needs it, so each of the others does happen.
PLAN = Plan(seed=20264249, broker="rabbitmq", triggers=300, seconds=16, faults=13, with_recovery=False)


def test_a_short_round_of_chaos_ends_clean(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_round(PLAN, say=lambda line: None)

    with capsys.disabled():
        sys.stdout.write(f"\n{outcome.table()}\n")
    assert outcome.faults == []


def test_a_machine_without_the_programs_is_told_so_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "POSTGRESQL_FOLDERS", [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    with pytest.raises(servers.MissingProgramsError, match=r"initdb.*apt-get install postgresql redis-server\."):
        run_round(PLAN, say=lambda line: None)

    assert list(tmp_path.iterdir()) == []
