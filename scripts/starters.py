"""How a service that does not answer gets started: from Docker, or from Debian's packages."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from probes import POSTGRESQL, RABBITMQ, REDIS, Service

ROOT = Path(__file__).resolve().parent.parent
PROGRESS_EVERY_SECONDS = 15


class CannotStartError(Exception):
    """Carries the one sentence that says what is missing and what to do."""


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- Docker ---

_IN_DOCKER = {
    POSTGRESQL: ("postgres", ["-p", "127.0.0.1:5432:5432", "-e", "POSTGRES_PASSWORD=postgres"]),
    RABBITMQ: ("rabbitmq", ["-p", "127.0.0.1:5672:5672"]),
    REDIS: ("redis", ["-p", "127.0.0.1:6379:6379"]),
}


def has_docker() -> bool:
    """Whether an engine runs; the client alone starts nothing."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def start_in_docker(services: Iterable[Service]) -> None:
    for service in services:
        image_name, options = _IN_DOCKER[service]
        container = f"notifyflow-test-{image_name}"
        known = subprocess.run(
            ["docker", "container", "inspect", container], capture_output=True, check=False
        ).returncode
        if known == 0:
            command = ["docker", "start", container]
        else:
            command = ["docker", "run", "--detach", "--name", container, *options, _compose_image(image_name)]
        run_long(
            command,
            label=f"Starting {service.name} in Docker",
            advice=f"start {service.name} on {service.place} yourself, or set {service.setting}",
        )


def _compose_image(name: str) -> str:
    """The image docker-compose.yml pins, so that tests meet the version that gets deployed."""
    text = (ROOT / "docker-compose.yml").read_text()
    match = re.search(rf"^\s*image:\s*({name}:\S+)$", text, re.MULTILINE)
    if match is None:
        raise CannotStartError(f"docker-compose.yml names no image for {name}: name one, or start it yourself.")
    return match.group(1)


# --- Debian ---

_PACKAGES = {POSTGRESQL: "postgresql", RABBITMQ: "rabbitmq-server", REDIS: "redis-server"}
_PROGRAMS = {POSTGRESQL: "pg_ctlcluster", RABBITMQ: "rabbitmq-server", REDIS: "redis-server"}


def has_debian() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def start_on_debian(services: Sequence[Service]) -> None:
    missing = [service for service in services if shutil.which(_PROGRAMS[service]) is None]
    if missing:
        install([_PACKAGES[service] for service in missing])
    for service in services:
        say(f"Starting {service.name} ...")
        if Path("/run/systemd/system").is_dir():
            _try(["systemctl", "start", _PACKAGES[service]])
        else:
            _START_BY_HAND[service]()


def install(packages: Sequence[str]) -> None:
    """Install Debian packages, saying so, for it can take minutes."""
    advice = f"check the network and apt's sources, or install {', '.join(packages)} yourself"
    # Other work on the machine may hold apt's lock for a while.
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=180"]
    run_long([*apt, "update"], label="Updating apt's package lists", advice=advice)
    run_long(
        [*apt, "install", "--yes", "--no-install-recommends", *packages],
        label=f"Installing {', '.join(packages)} from Debian",
        advice=advice,
    )


def make_postgresql_role() -> bool:
    """Give the tests a role that may create databases and nothing more; True when it stands."""
    if os.geteuid() != 0 or shutil.which("psql") is None:
        return False
    statement = (
        "DO $$ BEGIN CREATE ROLE notifyflow; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        "ALTER ROLE notifyflow LOGIN CREATEDB PASSWORD 'notifyflow'"
    )
    # Over the socket as the cluster's owner: the one log-in that a fresh Debian cluster accepts.
    return _try(["runuser", "-u", "postgres", "--", "psql", "-X", "-q", "-p", "5432", "-c", statement])


def _start_postgresql() -> None:
    clusters = [line.split() for line in _output(["pg_lsclusters", "--no-header"]).splitlines()]
    ours = next(([version, name] for version, name, port, *_ in clusters if port == "5432"), None)
    if ours is None:
        # The packages made none, or put theirs on another port because this one was taken at the time.
        versions = sorted(path.name for path in Path("/usr/lib/postgresql").glob("[0-9]*"))
        ours = [versions[-1] if versions else "15", "notifyflow"]
        _try(["pg_createcluster", "--port", "5432", *ours])
    _try(["pg_ctlcluster", "--skip-systemctl-redirect", *ours, "start"])


def _start_rabbitmq() -> None:
    environment = dict(os.environ)
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        # Erlang names the node after the host and gives up when that name leads nowhere.
        environment["RABBITMQ_NODENAME"] = "rabbit@localhost"
    _try(["rabbitmq-server", "-detached"], environment)


def _start_redis() -> None:
    # Started as its own user from its own folder, and keeping nothing on disk: tests never want old keys.
    _try(
        shlex.split(
            "runuser -u redis -- redis-server --daemonize yes --bind 127.0.0.1 --port 6379"
            " --save '' --appendonly no --dir /var/lib/redis --logfile /var/log/redis/notifyflow-test.log"
        )
    )


_START_BY_HAND: dict[Service, Callable[[], None]] = {
    POSTGRESQL: _start_postgresql,
    RABBITMQ: _start_rabbitmq,
    REDIS: _start_redis,
}


# --- Running commands ---


def run_long(command: Sequence[str], *, label: str, advice: str) -> None:
    """Run a slow command quietly, with a sign of life; raises CannotStartError with its last words."""
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        # A cluster made under the C locale would hold SQL_ASCII and refuse half of the world's names.
        "LC_ALL": "C.UTF-8",
    }
    say(f"{label} ...")
    started = time.monotonic()
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=PROGRESS_EVERY_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(f"{label} ... still at it after {time.monotonic() - started:.0f}s")
    if process.returncode != 0:
        for line in output.splitlines()[-10:]:
            say(f"    {line}")
        raise CannotStartError(f"{label} failed (its last words are above): {advice}, then try again.")


def _try(command: Sequence[str], environment: dict[str, str] | None = None) -> bool:
    """Run a short command; whether it helped shows when the service is asked again."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            # Below the tree a service user may see, programs complain that they cannot return to it.
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"    {error}")
        return False
    if done.returncode != 0:
        say(f"    {' '.join(command[:4])}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.returncode == 0


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
