"""What a fake provider does instead of answering well: acts that a test puts in line and the server takes."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Wait before going on as usual."""

    seconds: float


Act = TypeVar("Act")


class Script(Generic[Act]):
    """Acts waiting for their stage ("RCPT", "POST", ...), first in first out; safe between threads."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Act]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, act: Act) -> None:
        """Let the next visit to the stage meet this act."""
        with self._lock:
            self._lines.setdefault(stage, deque()).append(act)

    def take(self, stage: str) -> Act | None:
        """Remove and answer the next act of the stage, or None."""
        with self._lock:
            line = self._lines.get(stage)
            return line.popleft() if line else None
