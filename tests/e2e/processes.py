"""The project's processes as an operator runs them: started, waited for, killed, stopped; each with a log."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
STOP_SECONDS = 40


@dataclass
class Processes:
    """Processes of one test; all are gone when the block ends, whatever happened in it."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process of its own process group; its output goes to `<name>.log`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=dict(self.environment), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self.running[name] = process
        return process

    def manage(self, *arguments: str, **more: str) -> None:
        """Run a management command to its end. Raises CalledProcessError."""
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, **more},
            check=True,
            timeout=60,
        )

    def kill(self, name: str) -> None:
        """Kill a process and its children with -9, as a machine that loses power."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Ask a process to stop and return its exit code."""
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(STOP_SECONDS)

    def log(self, name: str) -> str:
        """Return what a process has printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        # pytest shows this only when the test has failed.
        for path in sorted(self.folder.glob("*.log")):
            print(f"----- {path.name}\n{path.read_text(errors='replace')[-4000:]}")


def wait_until(is_done: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Look until `is_done`. Raises TimeoutError naming what was waited for."""
    until = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > until:
            raise TimeoutError(f"Not within {seconds} s: {what}")
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Say whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
