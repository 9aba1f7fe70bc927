"""The peers' own environment: `.venv` for the Python ones and `node_modules`, made on first use from locked files.

Costs milliseconds when all is in place.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
MODULES = HERE / "node_modules"
OLDEST_NODE = 20


class NotInstalled(Exception):
    """A peer can't run here; the message says why in a few words."""


def python_peers() -> Path:
    """Return the interpreter that has the Python peers. Raises NotInstalled."""
    _once(VENV, HERE / "requirements.txt", _make_venv)
    return PYTHON


def node_peers() -> Path:
    """Return Node's path, with the packages in place. Raises NotInstalled."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalled("Node and npm are not installed")
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not found.startswith("v") or int(found[1:].split(".")[0]) < OLDEST_NODE:
        raise NotInstalled(f"Node {OLDEST_NODE} or newer is needed; this is {found or 'not working'}")
    _once(MODULES, HERE / "package-lock.json", lambda: _make_modules(npm))
    return Path(node)


def python_versions() -> dict[str, str]:
    """Return the pinned versions of the Python peers by name."""
    names = ("celery", "dbos", "procrastinate")
    lines = (HERE / "requirements.txt").read_text().splitlines()
    pins = dict(line.split(" ")[0].split("==") for line in lines if "==" in line and not line.startswith(" "))
    return {name: pins[name] for name in names}


def node_versions() -> dict[str, str]:
    """Return the pinned versions of the Node peers by name."""
    found: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
    return found


def _once(place: Path, lock: Path, make: Callable[[], None]) -> None:
    """Make the place unless it was made here from these locked versions."""
    stamp = place / ".stamp"
    wanted = hashlib.sha256(f"{HERE}\n{sys.version}\n".encode() + lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"Installing the peers of {lock.name} (once, about a minute) ...", flush=True)
    make()
    stamp.write_text(wanted)


def _make_venv() -> None:
    _run(sys.executable, "-m", "venv", "--clear", str(VENV))
    options = ("--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    _run(str(PYTHON), "-m", "pip", "install", *options, "-r", "requirements.txt")


def _make_modules(npm: str) -> None:
    # Not `npm ci`: it wants the lock to name the optional binaries of every platform there is.
    # Everything comes in the locked versions all the same, checked against their hashes, and nothing runs scripts.
    options = ("--no-save", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")
    _run(npm, "install", *options)


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"{Path(command[0]).name} could not install them: {done.stderr.strip()[-500:]}")
