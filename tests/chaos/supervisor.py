"""Processes that are started again when they die, as systemd or Compose would; and the ways to make them suffer."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.e2e.processes import ROOT

LOOK_SECONDS = 0.1
RESTART_SECONDS = 0.5
STOP_SECONDS = 30
# What is left of a killed process's group is known by this variable in its environment: a number may be used again.
MARK = "NOTIFYFLOW_CHAOS_RUN"


@dataclass
class Kept:
    """One process that is kept running; `excused` says that its next end is our doing."""

    name: str
    command: tuple[str, ...]
    process: subprocess.Popen[bytes]
    user: str | None = None
    stop_number: signal.Signals = signal.SIGTERM
    excused: bool = False
    held_back: bool = False
    starts: int = 1


@dataclass
class Supervisor:
    """Keeps processes running until the block ends; then all of them are gone, whatever happened."""

    folder: Path
    environment: Mapping[str, str]
    tell: Callable[[str], None]
    kept: dict[str, Kept] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    _groups: set[int] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._watcher = threading.Thread(target=self._watch, name="chaos-supervisor", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._watcher.join(10)
        # The other way round than they were started: servers go last.
        for kept in reversed(self.kept.values()):
            self._signal_group(kept, signal.SIGCONT)
            kept.process.send_signal(kept.stop_number)
            try:
                kept.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.tell(f"{kept.name} did not end within {STOP_SECONDS} s of SIGTERM and was killed")
            self._end_group(kept.process.pid)
            kept.process.wait()
        for group in list(self._groups):
            self._end_group(group)

    def keep(
        self, name: str, *command: str, user: str | None = None, stop_number: signal.Signals = signal.SIGTERM
    ) -> None:
        """Start a process with its log in `<name>.log`, and start it again whenever it ends."""
        self.kept[name] = Kept(name, command, self._start(name, command, user), user, stop_number)

    def names(self, start: str) -> list[str]:
        """Return the names that begin so."""
        return [name for name in self.kept if name.startswith(start)]

    def kill(self, name: str) -> None:
        """Kill a process and all its children with -9."""
        with self._lock:
            kept = self.kept[name]
            kept.excused = True
            self._signal_group(kept, signal.SIGKILL)

    def signal_main(self, name: str, number: signal.Signals) -> None:
        """Signal the main process alone; it may end from that."""
        with self._lock:
            kept = self.kept[name]
            kept.excused = True
            kept.process.send_signal(number)

    def excuse(self, name: str) -> None:
        """Expect that the process ends from what is done to it."""
        self.kept[name].excused = True

    def kill_child(self, name: str, dice: random.Random) -> bool:
        """Kill one child of the process with -9, if there is one; its parent has to see to it."""
        pid = self.kept[name].process.pid
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                os.kill(int(dice.choice(children)), signal.SIGKILL)
                return True
        return False

    def freeze(self, name: str) -> None:
        """Stop a process and its children in their tracks."""
        self._signal_group(self.kept[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let them go on."""
        self._signal_group(self.kept[name], signal.SIGCONT)

    def hold_back(self, name: str, number: signal.Signals) -> None:
        """End a process by signal, and do not start it again before `let_go`."""
        with self._lock:
            kept = self.kept[name]
            kept.held_back = kept.excused = True
            kept.process.send_signal(number)

    def let_go(self, name: str) -> None:
        """Start a process again that was held back."""
        self.kept[name].held_back = False

    def _start(self, name: str, command: tuple[str, ...], user: str | None) -> subprocess.Popen[bytes]:
        log: IO[bytes]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd="/" if user else ROOT, env=dict(self.environment), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                user=user, group=user, extra_groups=[user] if user else None,
            )  # fmt: skip
        self._groups.add(process.pid)
        return process

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for kept in self.kept.values():
                with self._lock:
                    self._look_after(kept)

    def _look_after(self, kept: Kept) -> None:
        code = kept.process.poll()
        if code is None or kept.held_back:
            return
        if not kept.excused:
            self.unexpected.append(f"{kept.name} ended by itself with {code}")
            self.tell(self.unexpected[-1])
        time.sleep(RESTART_SECONDS)
        kept.process = self._start(kept.name, kept.command, kept.user)
        kept.excused = False
        kept.starts += 1

    def _signal_group(self, kept: Kept, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            if kept.process.poll() is None:
                os.killpg(kept.process.pid, number)

    def _end_group(self, group: int) -> None:
        """Kill what is left of a group, if it is still ours."""
        self._groups.discard(group)
        for pid in _members(group, self.environment[MARK]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _members(group: int, mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError, ValueError):
            # After the name, which may hold anything, stand state, parent and group.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            is_ours = int(fields[2]) == group and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes()
            if is_ours and fields[0] != "Z":
                found.append(int(folder.name))
    return found
