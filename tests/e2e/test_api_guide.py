"""The guide's calls, run in order as they stand against a service as `make run` starts it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import start
from tests.e2e.processes import ROOT, Processes

pytestmark = pytest.mark.e2e

GUIDE = ROOT / "docs" / "guides" / "api.md"
# Says after each call which status it had, whatever the block does with the answer; asks for nothing else.
WATCHED = """
curl() { command curl --write-out '%{stderr}\\nSTATUS %{http_code}\\n' "$@"; }
"""


def test_each_call_of_the_guide_answers_as_the_guide_says(processes: Processes, port: int, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    start(processes, "service")
    script = "".join(f'echo "BLOCK" >&2\n{block}\n' for block in blocks).replace("127.0.0.1:8000", f"127.0.0.1:{port}")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", WATCHED + script],
        check=False, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip

    said = [re.findall(r"^# (\d{3})\b", block, re.MULTILINE) for block in blocks]
    seen = [re.findall(r"^STATUS (\d{3})$", block, re.MULTILINE) for block in done.stderr.split("BLOCK\n")[1:]]
    assert (seen, done.returncode) == (said, 0), done.stdout[-2000:] + done.stderr[-2000:]
    assert "x-request-id: shop-18" in done.stdout.lower()
    for code in ("token_not_valid", "precondition_failed", "not_due", "last_system_admin", "unknown_parameter"):
        assert f'"code":"{code}"' in done.stdout
    assert '"lines_read":482,"created":478,"existing":3,"rejected":1' in done.stdout
    assert '"text":"Hi Ann, ","missing_variables":["oder.id"]' in done.stdout


def test_every_call_has_its_status_in_front() -> None:
    calls = re.findall(r"```bash\n(.*?)```", GUIDE.read_text(), re.DOTALL)

    assert sum(len(re.findall(r"^# \d{3}\b", block, re.MULTILINE)) for block in calls) > 40
