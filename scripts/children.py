"""Child processes that live and end together, their output merged line by line under their names."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starters import ROOT, say

COLOURS = (36, 32, 33, 35, 34, 96)
NAME_WIDTH = 8


@dataclass(frozen=True)
class Dead:
    name: str
    status: int


class Children:
    """Started one by one, watched and stopped together."""

    def __init__(self, environment: Mapping[str, str], *, on_lost_output: Callable[[], None]) -> None:
        self._environment = environment
        self._on_lost_output = on_lost_output
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def start(self, name: str, command: Sequence[str]) -> None:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A Ctrl-C reaches the whole terminal group, and Celery takes a second signal for "drop it all":
            # each child gets a group of its own and hears of it once, from us.
            start_new_session=True,
        )
        prefix = f"{name:<{NAME_WIDTH}}| "
        if self._is_coloured:
            prefix = f"\033[{COLOURS[len(self._processes) % len(COLOURS)]}m{prefix}\033[0m"
        self._processes[name] = process
        threading.Thread(target=self._copy_output, args=(process, prefix), daemon=True).start()

    def first_dead(self) -> Dead | None:
        for name, process in self._processes.items():
            if (status := process.poll()) is not None:
                return Dead(name, status)
        return None

    def stop(self, limit_seconds: float) -> None:
        """Ask everyone to finish, and end after the limit who did not."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + limit_seconds
        for name, process in self._processes.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"{name} did not stop within {limit_seconds:.0f}s: ending it.")
        self.kill()

    def kill(self) -> None:
        """End whole groups, for a child that is gone may have left children of its own."""
        for process in self._processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _copy_output(self, process: subprocess.Popen[str], prefix: str) -> None:
        is_lost = False
        for line in process.stdout or ():
            if is_lost:
                # Nobody reads us any more; a child must still never block on a full pipe while it stops.
                continue
            try:
                print(f"{prefix}{line.rstrip()}", flush=True)
            except BrokenPipeError:
                is_lost = True
                self._on_lost_output()
