"""Settings under which a lease would run out under a worker that is alive are refused, also at the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from execution.checks import check_time_limits
from tests.e2e.processes import ROOT


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"LEASE_SECONDS": 20}, ["execution.E001"]),
        ({"LEASE_SECONDS": 21}, []),
        ({"PROVIDER_TIMEOUT_SECONDS": 30.0, "CELERY_TASK_SOFT_TIME_LIMIT": 1000}, ["execution.E001"]),
        ({"CLAIM_WORK_SECONDS": 50}, []),
        ({"CLAIM_WORK_SECONDS": 51}, ["execution.E002"]),
        ({"CLAIM_WORK_SECONDS": 0}, ["execution.E003"]),
    ],
)
def test_limits_that_do_not_fit_together(settings: Settings, changed: dict[str, float], found: list[str]) -> None:
    settings.LEASE_SECONDS, settings.CLAIM_WORK_SECONDS, settings.PROVIDER_TIMEOUT_SECONDS = 60, 20, 10.0
    settings.CELERY_TASK_SOFT_TIME_LIMIT = 120
    for name, value in changed.items():
        setattr(settings, name, value)

    assert [fault.id for fault in check_time_limits(None)] == found


@pytest.mark.parametrize(
    "command", [("-m", "celery", "-A", "notifyflow", "worker", "-P", "solo"), ("manage.py", "embedded")]
)
def test_worker_and_embedded_service_do_not_start_with_them(tmp_path: Path, command: tuple[str, ...]) -> None:
    environment = {**os.environ, "NOTIFYFLOW_VAR": str(tmp_path), "LEASE_SECONDS": "15", "CLAIM_WORK_SECONDS": "1"}
    environment.pop("DATABASE_URL")

    ended = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 1
    assert "LEASE_SECONDS is 15" in ended.stderr
    assert "Traceback" not in ended.stderr
