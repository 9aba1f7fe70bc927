"""A round that is ended from outside, in the middle of it, leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.brokers import SHARED
from tests.chaos.series import RESULTS
from tests.e2e.processes import ROOT, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

# What the round starts inherits it, whether the round knows of it or not.
OURS = "NOTIFYFLOW_STOPPED_ROUND"
SIZE = {"ROUNDS": "2", "BROKER": "rabbitmq", "CHAOS_TRIGGERS": "5000", "CHAOS_SECONDS": "60", "CHAOS_FAULTS": "60"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that another user may enter, with a path short enough for PostgreSQL's socket."""
    made = Path(tempfile.mkdtemp(prefix="nf-stop-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize(
    ("number", "more"), [(signal.SIGTERM, {}), (signal.SIGINT, {SHARED: "1"})], ids=["SIGTERM", "Ctrl-C, shared broker"]
)
def test_a_round_that_is_ended_in_the_middle_leaves_nothing_behind(
    folder: Path, number: signal.Signals, more: dict[str, str]
) -> None:
    mark = uuid.uuid4().hex
    vhosts_before = _vhosts()
    inherited = {name: value for name, value in os.environ.items() if name not in (RESULTS, SHARED)}
    environment = {**inherited, **SIZE, **more, OURS: mark, "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", "tests/chaos/test_rounds.py"],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: _has_faults(folder, running), seconds=150, what="the round breaks things")
        assert len(_carrying(mark)) > 8
        running.send_signal(number)
        running.send_signal(number)
        running.wait(60)
        assert _carrying(mark) == []
        assert _working_in(folder) == []
    finally:
        for pid in _carrying(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running.wait()
    said = (folder / "log").read_text()
    assert running.returncode == pytest.ExitCode.INTERRUPTED, said
    assert "0 of 1 rounds clean" in said
    assert list(folder.glob("notifyflow-chaos-pg-*")) == []
    assert _vhosts() <= vhosts_before


def _has_faults(folder: Path, running: subprocess.Popen[bytes]) -> bool:
    assert running.poll() is None, (folder / "log").read_text()
    return any(path.stat().st_size for path in folder.glob("notifyflow-chaos-*/faults.jsonl"))


def _carrying(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{OURS}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _working_in(folder: Path) -> list[str]:
    """Return the processes in this folder: PostgreSQL's children write their names over their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if path.readlink().is_relative_to(folder):
                found.append((path.parent / "cmdline").read_text())
    return found


def _vhosts() -> set[str]:
    program = shutil.which("rabbitmqctl")
    if program is None:
        return set()
    done = subprocess.run([program, "-q", "list_vhosts"], check=False, capture_output=True, text=True)
    return {line for line in done.stdout.splitlines() if line.startswith("notifyflow-chaos-")}
