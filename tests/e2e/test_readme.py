"""The README's example, run as it stands against a service as `make run` starts it."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import start
from tests.e2e.processes import ROOT, Processes

pytestmark = pytest.mark.e2e


def test_the_example_does_what_it_says(processes: Processes, port: int, tmp_path: Path) -> None:
    (example,) = re.findall(r"<!-- example.*?-->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    start(processes, "service")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.replace("127.0.0.1:8000", f"127.0.0.1:{port}")],
        check=False, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout[done.stdout.index('{\n    "next"') : done.stdout.index("\nvar/outbox") + 1])
    assert [(step["node_id"], step["status"]) for step in steps["results"]] == [
        ("hello", "succeeded"),
        ("wait", "succeeded"),
        ("nudge", "succeeded"),
    ]
    assert len({step["trigger"] for step in steps["results"]}) == 1
    assert "Subject: Welcome, Ann" in done.stdout
    assert "Your plan: TEAM." in done.stdout
