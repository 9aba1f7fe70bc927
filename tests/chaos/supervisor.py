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
LOG_TAIL_BYTES = 8_000
RESTART_SECONDS = 0.5
STOP_SECONDS = 30
SWEEP_SECONDS = 10
# Everything a round starts carries this variable in its environment, and so what was started by that; process groups
# would miss who made a group of its own, and a number may be used again.
MARK = "NOTIFYFLOW_CHAOS_RUN"


@dataclass
class Kept:
    """One process that is kept running; `excused` says that its next end is our doing.

    `stop` asks it to end in good order, `hurry` to end at once.
    """

    name: str
    command: tuple[str, ...]
    process: subprocess.Popen[bytes]
    user: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM
    hurry: signal.Signals = signal.SIGKILL
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
        try:
            for kept in self.kept.values():
                self._signal_group(kept, signal.SIGCONT)
            self._end(in_hurry=kind is not None)
        finally:
            sweep(self.environment[MARK])

    def keep(
        self,
        name: str,
        *command: str,
        user: str | None = None,
        more: Mapping[str, str] | None = None,
        stop: signal.Signals = signal.SIGTERM,
        hurry: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start a process with its log in `<name>.log`, and start it again whenever it ends.

        `more` is for its environment.
        """
        more = more or {}
        self.kept[name] = Kept(name, command, self._start(name, command, user, more), user, more, stop, hurry)

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

    def hold_back(self, name: str) -> None:
        """Do not start a process again before `let_go`; it is about to be ended."""
        with self._lock:
            self.kept[name].held_back = True

    def let_go(self, name: str) -> None:
        """Start a process again that was held back."""
        self.kept[name].held_back = False

    def _end(self, *, in_hurry: bool) -> None:
        """End what is kept; in a hurry when the round broke off, and nobody asks how well things end."""
        if in_hurry:
            for kept in self.kept.values():
                self._signal_group(kept, kept.hurry)
        # The other way round than they were started: servers go last.
        for kept in reversed(self.kept.values()):
            if not in_hurry:
                kept.process.send_signal(kept.stop)
            try:
                kept.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.tell(f"{kept.name} did not end within {STOP_SECONDS} s and was killed")
                self._signal_group(kept, signal.SIGKILL)
                kept.process.wait()

    def _start(
        self, name: str, command: tuple[str, ...], user: str | None, more: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        log: IO[bytes]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd="/" if user else ROOT, env={**self.environment, **more}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                user=user, group=user, extra_groups=[user] if user else None,
            )  # fmt: skip

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for kept in self.kept.values():
                with self._lock:
                    self._look_after(kept)

    def _look_after(self, kept: Kept) -> None:
        code = kept.process.poll()
        if code is None or kept.held_back:
            return
        if not kept.excused and not self._has_given_up(kept):
            self.unexpected.append(f"{kept.name} ended by itself with {code}")
            self.tell(self.unexpected[-1])
        time.sleep(RESTART_SECONDS)
        kept.process = self._start(kept.name, kept.command, kept.user, kept.more)
        kept.excused = False
        kept.starts += 1

    def _has_given_up(self, kept: Kept) -> bool:
        """Say whether a worker ended because a child was killed before its first look at the broker.

        Then Celery takes all its children for broken, and leaves the rest to whoever started it.
        """
        with (self.folder / f"{kept.name}.log").open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES, 0))
            return b"Could not start worker processes" in log.read()

    def _signal_group(self, kept: Kept, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            if kept.process.poll() is None:
                os.killpg(kept.process.pid, number)


def sweep(mark: str) -> None:
    """Kill whatever carries this mark, until nothing does."""
    until = time.monotonic() + SWEEP_SECONDS
    while (found := _marked(mark)) and time.monotonic() < until:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Who was killed may have been starting another.
        time.sleep(LOOK_SECONDS)


def _marked(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            # A zombie has no environment any more.
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
