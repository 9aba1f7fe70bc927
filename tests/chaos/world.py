"""Everything a round runs on: servers, providers, web, workers and beat, each with its log in the round's folder."""

import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from celery import Celery

from tests.chaos.brokers import LANES, Broker, RabbitNode, RedisBroker, may_have_node, shared_rabbitmq
from tests.chaos.servers import Postgres, Redis, folder_for_postgres
from tests.chaos.story import WORKFLOW, WORKFLOW_KEY
from tests.chaos.supervisor import MARK, Supervisor
from tests.e2e.client import Client
from tests.e2e.processes import BIN, ROOT, answers, free_port, wait_until
from tests.fakes.proxy import HOST, Proxy
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN

PASSWORD = "correct horse battery staple"
PREFIX = "chaos"
LEASE_SECONDS = 10
DEFAULT_LEASE_SECONDS = 60
TIMES = {"LEASE_SECONDS": str(LEASE_SECONDS), "CLAIM_WORK_SECONDS": "5", "PROVIDER_TIMEOUT_SECONDS": "1"}
WORKERS = ("worker-1", "worker-2")


class Provider:
    """One provider's process, on a port that stays the same."""

    def __init__(self, kind: str, folder: Path, seed: int, environment: Mapping[str, str]) -> None:
        self.kind = kind
        self.port = free_port()
        self.journal = folder / f"{kind}.jsonl"
        self._log = folder / f"{kind}.log"
        self._seed = seed
        self._environment = dict(environment)
        self._trouble = 0.0
        self._process = self._spawn()

    def start(self) -> None:
        """Start it again, in the mood it was in; when it was killed twice, the first of two starts is enough."""
        if self._process.poll() is not None:
            self._process = self._spawn()
            self.trouble(self._trouble)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable, "-m", "tests.chaos.providers", self.kind, "--port", str(self.port),
                    "--journal", str(self.journal), "--seed", str(self._seed),
                ],
                cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        self._seed += 1
        return process

    def trouble(self, share: float) -> None:
        """Let this share of the messages meet trouble."""
        self._trouble = share
        self._order(f"trouble {share}")

    def slow(self, seconds: float) -> None:
        """Take so long over each message."""
        self._order(f"slow {seconds}")

    def drop(self) -> None:
        """Cut every connection now."""
        self._order("drop")

    def kill(self) -> None:
        """Kill it with -9; what it accepted is in the journal."""
        self._process.kill()
        self._close()

    def signal(self, number: signal.Signals) -> None:
        """Freeze or thaw it."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._close()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _order(self, line: str) -> None:
        assert self._process.stdin is not None
        # Between its kill and its next start nobody is there to hear.
        if self._process.stdin.closed:
            return
        with suppress(OSError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()


@dataclass
class World:
    """What a round may break, and what it asks."""

    folder: Path
    broker_name: str
    supervisor: Supervisor
    postgres: Postgres
    cache: Redis
    broker: Broker
    providers: list[Provider]
    environment: dict[str, str]
    port: int
    tell: Callable[[str], None]
    token: str = ""
    _bells: Celery | None = field(default=None)

    def ring_everything(self) -> None:
        """Deliver a bell to every lane, whether it has work or not."""
        if self._bells is None:
            self._bells = Celery(broker=self.environment["CELERY_BROKER_URL"])
            self._bells.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
            self._bells.conf.broker_connection_timeout = 2
        for lane in LANES[:-1]:
            self._bells.send_task(
                "execution.advance_due", args=[lane], queue=f"{PREFIX}.{lane}", retry=False, ignore_result=True
            )

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end, with both its outputs in one."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, check=False, timeout=120, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def trouble(self, share: float) -> None:
        """Let this share of the messages meet trouble at their provider."""
        for provider in self.providers:
            provider.trouble(share)

    def is_ready(self) -> bool:
        """Say whether web, database, broker and sweep are all there."""
        return answers(f"http://127.0.0.1:{self.port}/readyz")

    def close(self) -> None:
        """Let go of what this process holds open."""
        if self._bells is not None:
            self._bells.close()


@contextmanager
def running(folder: Path, *, broker: str, seed: int, tell: Callable[[str], None]) -> Iterator[World]:
    """Start everything with an active workflow, and end everything, whatever happened."""
    run = uuid.uuid4().hex[:8]
    environment = _inherited() | {MARK: run}
    with ExitStack() as stack:
        pg_folder = stack.enter_context(folder_for_postgres())
        choose = _prepare_broker(stack, broker, run)
        supervisor = stack.enter_context(Supervisor(folder, environment, tell))
        # It boots while the others are made ready.
        chosen = choose(supervisor, folder)
        postgres = Postgres(supervisor, pg_folder)
        cache = Redis(supervisor, "redis-cache", free_port())
        dice = random.Random(seed)
        providers = []
        for kind in ("smtp", "twilio"):
            providers.append(Provider(kind, folder, dice.randrange(2**32), environment))
            stack.callback(providers[-1].stop)
        environment |= _settings(folder, postgres, cache, chosen, providers)
        world = World(
            folder, broker, supervisor, postgres, cache, chosen, providers, environment, free_port(), tell
        )  # fmt: skip
        stack.callback(world.close)
        _start(world)
        yield world


def _prepare_broker(stack: ExitStack, name: str, run: str) -> Callable[[Supervisor, Path], Broker]:
    """Prepare what outlives every process, and return what starts the broker, if it is ours to start."""
    if name == "rabbitmq" and not may_have_node():
        shared = stack.enter_context(shared_rabbitmq(run=run, prefix=PREFIX))
        return lambda supervisor, folder: shared
    port = free_port()
    proxy = stack.enter_context(Proxy((HOST, port)))
    if name == "rabbitmq":
        return lambda supervisor, folder: RabbitNode(supervisor, proxy, port, folder, prefix=PREFIX)
    return lambda supervisor, folder: RedisBroker(supervisor, proxy, port, prefix=PREFIX)


def _start(world: World) -> None:
    for command in (
        ("migrate", "--verbosity", "0"),
        ("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org"),
    ):
        done = world.manage(*command)
        assert done.returncode == 0, done.stdout
    world.broker.wait()
    keep = world.supervisor.keep
    web = f"--interface wsgi --no-ws --host 127.0.0.1 --port {world.port} --workers 2 --respawn-failed-workers"
    keep("web", str(BIN / "granian"), *web.split(), "--workers-kill-timeout", "10", "notifyflow.wsgi:application")
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", "notifyflow")
    options = ("--concurrency", "2", "--prefetch-multiplier", "1", "--without-gossip", "--without-mingle")
    queues = ",".join(f"{PREFIX}.{lane}" for lane in LANES)
    for name in WORKERS:
        keep(name, *celery, "worker", "-n", f"{name}@%h", *options, "-Q", queues)
    keep("beat", *celery, "beat", "--schedule", str(world.folder / "beat-schedule"))
    wait_until(world.is_ready, seconds=90, what="web, broker and sweep are ready")
    client = Client(f"http://127.0.0.1:{world.port}", username="root", password=PASSWORD)
    status, body = client.post("workflows/", WORKFLOW)
    assert status == 201, body
    assert client.post(f"workflows/{WORKFLOW_KEY}/activate/")[0] == 200
    world.token = client.token


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}


def _settings(
    folder: Path, postgres: Postgres, cache: Redis, broker: Broker, providers: list[Provider]
) -> dict[str, str]:
    smtp, twilio = providers
    return {
        **TIMES,
        "SECRET_KEY": "a-key-for-tests-only-" + "x" * 40,
        "DATABASE_URL": postgres.url,
        "CELERY_BROKER_URL": broker.url,
        "CACHE_URL": cache.url,
        "CACHE_KEY_PREFIX": PREFIX,
        "QUEUE_PREFIX": PREFIX,
        "NOTIFYFLOW_VAR": str(folder / "var"),
        "EMAIL_URL": f"smtp://127.0.0.1:{smtp.port}",
        "SMS_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": "+14155550100",
        "TWILIO_API_BASE": f"http://127.0.0.1:{twilio.port}",
        "CLAIM_LIMIT": "60",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "STATIC_ROOT": str(folder / "static"),
        "PYTHONUNBUFFERED": "1",
        # Celery warns whoever is root, once a worker.
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
    }
