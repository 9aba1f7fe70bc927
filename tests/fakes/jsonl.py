"""A log that other processes read while it grows: one JSON object a line, flushed at once."""

import json
import threading
from pathlib import Path
from typing import Any


class JsonLines:
    """Append objects to a file; several processes may append to the same one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered and in append mode: each line is one write, so lines of two writers never mix.
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def append(self, record: dict[str, Any]) -> None:
        """Write one line."""
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
