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
        ({"SEND_THREADS": 0}, ["execution.E005"]),
    ],
)
def test_limits_that_do_not_fit_together(settings: Settings, changed: dict[str, float], found: list[str]) -> None:
    settings.LEASE_SECONDS, settings.CLAIM_WORK_SECONDS, settings.PROVIDER_TIMEOUT_SECONDS = 60, 20, 10.0
    settings.CELERY_TASK_SOFT_TIME_LIMIT = 120
    for name, value in changed.items():
        setattr(settings, name, value)

    assert [fault.id for fault in check_time_limits(None)] == found


CELERY = ("-m", "celery", "-A", "notifyflow")


@pytest.mark.parametrize(
    "command",
    [
        (*CELERY, "worker", "-P", "solo"),
        (*CELERY, "beat", "--schedule", "{var}/schedule"),
        ("manage.py", "embedded"),
        ("-c", "import notifyflow.wsgi"),
    ],
)
def test_no_process_starts_with_them(tmp_path: Path, command: tuple[str, ...]) -> None:
    environment = {**os.environ, "NOTIFYFLOW_VAR": str(tmp_path), "LEASE_SECONDS": "15", "CLAIM_WORK_SECONDS": "1"}
    environment.pop("DATABASE_URL")

    ended = subprocess.run(
        [sys.executable, *(word.format(var=tmp_path) for word in command)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "LEASE_SECONDS is 15, but a send to a silent provider takes 20 s." in ended.stderr
    assert "Set LEASE_SECONDS above 20" in ended.stderr
    # A server that imports the web application shows where, with the sentence in the last line.
    shown = ended.stderr.strip().rsplit("\n", 1)[-1] if command[0] == "-c" else ended.stderr
    assert "Traceback" not in shown
    assert "Set LEASE_SECONDS above 20" in shown
