"""The embedded service as a newcomer starts it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Processes, free_port, wait_until


@pytest.fixture
def port() -> int:
    """Choose where the service answers."""
    return free_port()


@pytest.fixture
def processes(tmp_path: Path, port: int) -> Iterator[Processes]:
    """Prepare the environment of a newcomer: no setting but the folder and the port."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {**kept, "NOTIFYFLOW_VAR": str(tmp_path / "var"), "PORT": str(port)}
    with Processes(tmp_path, environment) as running:
        yield running


def start(processes: Processes, name: str, **more: str) -> None:
    """Start the service, with more environment variables, and wait until it says that it is ready."""
    variables = (f"{variable}={value}" for variable, value in more.items())
    process = processes.start(name, "env", *variables, sys.executable, "manage.py", "embedded")

    def is_ready() -> bool:
        assert process.poll() is None, "the service ended"
        return "Ready at" in processes.log(name)

    wait_until(is_ready, seconds=60, what="the service is ready")
