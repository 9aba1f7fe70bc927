"""The full profile on local services: web, three workers, beat and Flower as children of this one process.

    scripts/up                    start everything; SIGINT or SIGTERM stops everything cleanly
    scripts/up manage <command>   run a manage.py command with the same settings

It always uses the services that `scripts/services` finds or starts, never a DATABASE_URL from the shell:
trying the project out must not migrate somebody's production database.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import environ
import local_databases
from children import Children
from probes import POSTGRESQL, RABBITMQ, REDIS, Service
from services import ensure
from starters import ROOT, CannotStartError, say

from notifyflow.secret import embedded_secret_key

ALL_QUEUES = ("critical", "high", "medium", "low", "sweep")
# Kept free of the other lanes: slow batches there hold up neither urgent triggers nor the sweep.
URGENT_QUEUES = ("critical", "sweep")
CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "notifyflow")
FLOWER_PORT = 5555
# A worker ends the batch it holds first: CLAIM_WORK_SECONDS and its last sends, with room to spare.
STOP_SECONDS = 60


def environment_for(urls: Mapping[Service, str], var: Path, port: int) -> dict[str, str]:
    """The settings of every process; what the caller set beyond the services is kept."""
    return {
        **os.environ,
        "NOTIFYFLOW_VAR": str(var),
        "SECRET_KEY": os.environ.get("SECRET_KEY") or embedded_secret_key(var),
        "DEBUG": "0",
        "DATABASE_URL": local_databases.ensure_database(urls[POSTGRESQL]),
        "CELERY_BROKER_URL": local_databases.ensure_vhost(urls[RABBITMQ]),
        # Not the tests' database: a test run beside it empties that one.
        "CACHE_URL": f"{urls[REDIS].rstrip('/')}/1",
        "QUEUE_PREFIX": os.environ.get("QUEUE_PREFIX") or "notifyflow",
        "PYTHONUNBUFFERED": "1",
        # Celery warns whoever is root, as one is in many containers, once a worker.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
        "GRANIAN_HOST": "127.0.0.1",
        "GRANIAN_PORT": str(port),
        "GRANIAN_WORKERS": os.environ.get("GRANIAN_WORKERS", "2"),
        "GRANIAN_BLOCKING_THREADS": os.environ.get("GRANIAN_BLOCKING_THREADS", "16"),
        "GRANIAN_BACKLOG": os.environ.get("GRANIAN_BACKLOG", "16384"),
    }


def worker(name: str, *, concurrency: int, queues: Sequence[str], prefix: str) -> list[str]:
    options = ["--prefetch-multiplier", "1", "--without-gossip", "--without-mingle"]
    listen = ["--concurrency", str(concurrency), "-Q", ",".join(f"{prefix}.{queue}" for queue in queues)]
    return [*CELERY, "worker", "-n", f"{name}@%h", *options, *listen]


def commands(var: Path, prefix: str) -> dict[str, list[str]]:
    """What runs, by the name it has in the log; docker-compose.yml starts the same."""
    web = "--interface wsgi --no-ws --respawn-failed-workers --workers-kill-timeout 30"
    return {
        "web": [sys.executable, "-m", "granian", *web.split(), "notifyflow.wsgi:application"],
        "worker1": worker("w1", concurrency=2, queues=ALL_QUEUES, prefix=prefix),
        "worker2": worker("w2", concurrency=2, queues=ALL_QUEUES, prefix=prefix),
        "urgent": worker("urgent", concurrency=1, queues=URGENT_QUEUES, prefix=prefix),
        "beat": [*CELERY, "beat", "--schedule", str(var / "beat" / "celerybeat-schedule")],
        "flower": [*CELERY, "flower", "--address=127.0.0.1", f"--port={FLOWER_PORT}"],
    }


def require_free(port: int, owner: str, advice: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStartError(
                f"Port {port}, which {owner} needs, is taken ({error.strerror}): {advice}."
            ) from error


def manage(environment: Mapping[str, str], *arguments: str) -> int:
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, check=False).returncode


def prepare(environment: Mapping[str, str], var: Path) -> None:
    """Bring database and static files to what this code expects, and somebody in; raises CannotStartError."""
    (var / "beat").mkdir(parents=True, exist_ok=True)
    # The settings choose hashed file names by this folder's existence, so it must be there before collecting.
    (ROOT / "staticfiles").mkdir(exist_ok=True)
    steps = (["migrate", "--noinput", "-v", "0"], ["first_admin"], ["collectstatic", "--noinput", "-v", "0"])
    for step in steps:
        say(f"Running manage.py {step[0]} ...")
        if manage(environment, *step) != 0:
            raise CannotStartError(f"manage.py {step[0]} failed (its words are above): mend that, then try again.")


def tell_when_ready(port: int, environment: Mapping[str, str], stopping: threading.Event) -> None:
    address = f"http://127.0.0.1:{port}"
    while not stopping.wait(0.3):
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=2).close()
        except urllib.error.HTTPError as error:
            say(f"The web process answers {error.code} on {address}/healthz.")
            return
        except OSError:
            continue
        break
    else:
        return
    say(
        f"""
NotifyFlow runs:
  API        {address}/api/v1/        documentation: {address}/api/docs/
  admin      {address}/admin/         users: DJANGO_SUPERUSER_*, or scripts/up manage createsuperuser
  Flower     http://127.0.0.1:{FLOWER_PORT}/
  messages   {environment["NOTIFYFLOW_VAR"]}/outbox, unless EMAIL_URL and TWILIO_* name providers
Ctrl-C stops everything.
"""
    )


def run(environment: Mapping[str, str], var: Path, port: int) -> int:
    """Start the children and stay until a signal or the first death; the exit status tells which."""
    stopping = threading.Event()
    children = Children(environment, on_lost_output=stopping.set)

    def stop(*_: object) -> None:
        # The second signal means that somebody is tired of waiting.
        if stopping.is_set():
            children.kill()
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    for name, command in commands(var, environment["QUEUE_PREFIX"]).items():
        children.start(name, command)
    threading.Thread(target=tell_when_ready, args=(port, environment, stopping), daemon=True).start()

    dead = None
    while dead is None and not stopping.is_set():
        dead = children.first_dead()
        time.sleep(0.2)
    stopping.set()
    if dead is not None:
        say(f"{dead.name} died with exit status {dead.status}: stopping the others.")
    else:
        say("Stopping ...")
    children.stop(STOP_SECONDS)
    say("Everything has stopped.")
    return 1 if dead is not None else 0


def main(arguments: Sequence[str]) -> int:
    # As the settings do: what stands in there must not differ between this process and its children.
    if (ROOT / ".env").is_file():
        environ.Env.read_env(str(ROOT / ".env"))
    var = Path(os.environ.get("NOTIFYFLOW_VAR") or ROOT / "var").resolve()
    port = int(os.environ.get("PORT") or 8000)
    try:
        match arguments:
            case ["manage", *command]:
                return manage(environment_for(ensure(), var, port), *command)
            case []:
                require_free(port, "the web process", "stop what holds it, or choose another with PORT=...")
                require_free(FLOWER_PORT, "Flower", "stop what holds it")
                environment = environment_for(ensure(), var, port)
                prepare(environment, var)
                return run(environment, var, port)
            case _:
                say("usage: scripts/up [manage <command> ...]")
                return 2
    except CannotStartError as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
