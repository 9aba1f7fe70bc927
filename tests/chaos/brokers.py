"""The brokers of a round, each behind a proxy: Redis, and RabbitMQ as a node of its own where Debian's package is."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import amqp
import redis

from tests.chaos.servers import Redis, listens
from tests.chaos.supervisor import Supervisor
from tests.e2e.processes import free_port, wait_until
from tests.fakes.proxy import HOST, Proxy
from tests.settings import TEST_AMQP_URL

LANES = ("critical", "high", "medium", "low", "sweep")
# Debian's programs in the PATH change to the user rabbitmq and to its folders; these behind them take any.
RABBITMQ_PROGRAMS = Path("/usr/lib/rabbitmq/bin")
# Set to anything, it has a round do without a node of its own.
SHARED = "CHAOS_SHARED_RABBITMQ"
BOOT_SECONDS = 120


class Broker(Protocol):
    """What a round does to a broker; `url` is for the processes, `what` says in the table what it is."""

    url: str
    what: str

    def wait(self) -> None:
        """Return when it answers."""

    def crash(self) -> None:
        """Be gone, with every connection."""

    def start(self) -> None:
        """Be there again, as soon as it can."""

    def refuse(self) -> None:
        """Be out of reach, with all that it holds."""

    def accept(self) -> None:
        """Be within reach again."""

    def silence(self) -> None:
        """Take connections and answer nothing."""

    def speak(self) -> None:
        """Answer again."""

    def cut(self) -> None:
        """Close every connection at once."""

    def purge(self) -> None:
        """Lose every message."""

    def delete_queues(self) -> None:
        """Lose the queues themselves."""


class RedisBroker(Redis):
    """Redis as broker: what is killed comes back empty."""

    what = "Redis, killed and started again empty"

    def __init__(self, supervisor: Supervisor, proxy: Proxy, port: int, *, prefix: str) -> None:
        super().__init__(supervisor, "redis-broker", port)
        self.url = f"redis://{HOST}:{proxy.port}/0"
        self._proxy = proxy
        self._queues = [f"{prefix}.{lane}" for lane in LANES]

    def refuse(self) -> None:
        """Be out of reach, with all that it holds."""
        self._proxy.refuse()

    def accept(self) -> None:
        """Be within reach again."""
        self._proxy.listen()

    def cut(self) -> None:
        """Close every connection at once."""
        with suppress(redis.RedisError), self.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")

    def purge(self) -> None:
        """Lose every message that nobody has taken."""
        with suppress(redis.RedisError), self.client() as client:
            client.delete(*self._queues)

    def delete_queues(self) -> None:
        """Lose everything: messages taken or not, and who is bound to what."""
        self.empty()


class _RabbitMQ:
    """What a node of its own and a shared server have in common: the proxy, and the queues behind it."""

    def __init__(self, proxy: Proxy, direct: str, vhost: str, *, prefix: str) -> None:
        parts = urlsplit(direct)
        self._login = (parts.username or "guest", parts.password or "guest")
        self._place = f"{parts.hostname}:{parts.port or 5672}"
        self._vhost = vhost
        self._proxy = proxy
        self._queues = [f"{prefix}.{lane}" for lane in LANES]
        self.url = f"amqp://{':'.join(self._login)}@{HOST}:{proxy.port}/{vhost}"

    def wait(self) -> None:
        """Return when it lets us in."""
        wait_until(self._answers, seconds=BOOT_SECONDS, what="RabbitMQ answers")

    def refuse(self) -> None:
        """Cut every connection, and take none."""
        self._proxy.refuse()

    def accept(self) -> None:
        """Take connections again."""
        self._proxy.listen()

    def silence(self) -> None:
        """Pass nothing on."""
        self._proxy.silence()

    def speak(self) -> None:
        """Pass on what was held back."""
        self._proxy.speak()

    def purge(self) -> None:
        """Empty every queue."""
        self._each_queue("queue_purge")

    def delete_queues(self) -> None:
        """Delete every queue, with what it holds, under its consumers."""
        self._each_queue("queue_delete")

    def _each_queue(self, method: str) -> None:
        with self._connection() as connection:
            for queue in self._queues:
                with suppress(amqp.NotFound):
                    getattr(connection.channel(), method)(queue)

    def _connection(self) -> amqp.Connection:
        user, password = self._login
        return amqp.Connection(
            host=self._place, userid=user, password=password, virtual_host=self._vhost, connect_timeout=5
        )

    def _answers(self) -> bool:
        try:
            with self._connection():
                return True
        except (OSError, amqp.AMQPError):
            return False


class RabbitNode(_RabbitMQ):
    """A node of its own, so that it can be killed; durable queues come back with what they held."""

    what = "RabbitMQ, a node of its own, killed and started again"

    def __init__(self, supervisor: Supervisor, proxy: Proxy, port: int, folder: Path, *, prefix: str) -> None:
        super().__init__(proxy, f"amqp://guest:guest@{HOST}:{port}", "/", prefix=prefix)
        self._supervisor = supervisor
        # Its own, in the foreground: one that a node starts goes on after it, and serves others.
        epmd_port = free_port()
        supervisor.keep("epmd", _erlang_program("epmd"), "-address", HOST, "-port", str(epmd_port))
        wait_until(lambda: listens(epmd_port), seconds=30, what="epmd answers")
        self._environment = _settings_of_node(folder / "rabbitmq", port, epmd_port)
        supervisor.keep("rabbitmq", str(RABBITMQ_PROGRAMS / "rabbitmq-server"), more=self._environment)

    def crash(self) -> None:
        """Kill it with -9, and leave it dead for now."""
        self._supervisor.hold_back("rabbitmq")
        self._supervisor.kill("rabbitmq")

    def start(self) -> None:
        """Have it started again, which takes it some seconds."""
        self._supervisor.let_go("rabbitmq")

    def cut(self) -> None:
        """Have the node close every connection, or cut them here."""
        environment = {**self._supervisor.environment, **self._environment}
        program = str(RABBITMQ_PROGRAMS / "rabbitmqctl")
        if not _succeeds(program, "close_all_connections", "--vhost", "/", "chaos", environment=environment):
            self._proxy.cut()


class SharedRabbitMQ(_RabbitMQ):
    """A server that others use too, which a round must not kill: it is out of reach instead."""

    def __init__(self, proxy: Proxy, vhost: str | None, *, prefix: str) -> None:
        super().__init__(proxy, TEST_AMQP_URL, vhost or "/", prefix=prefix)
        why = "as is asked for" if SHARED in os.environ else "rabbitmq-server is not here"
        self.what = f"RabbitMQ, shared ({why}): not killed, only out of reach, behind a proxy"
        self._is_alone = vhost is not None

    def crash(self) -> None:
        """Refuse and cut; the messages stay, as durable queues' do."""
        self.refuse()

    def start(self) -> None:
        """Take connections again."""
        self.accept()

    def cut(self) -> None:
        """Have the server close every connection, or cut them here."""
        if not (self._is_alone and _rabbitmqctl("close_all_connections", "--vhost", self._vhost, "chaos")):
            self._proxy.cut()


def may_have_node() -> bool:
    """Say whether a RabbitMQ node of our own can be run here."""
    programs = [str(RABBITMQ_PROGRAMS / name) for name in ("rabbitmq-server", "rabbitmqctl")]
    has_all = all(os.access(program, os.X_OK) for program in programs) and shutil.which("erl") is not None
    return has_all and _find_erlang_program("epmd") is not None and SHARED not in os.environ


@contextmanager
def shared_rabbitmq(*, run: str, prefix: str) -> Iterator[SharedRabbitMQ]:
    """Prepare a virtual host for one round, if rabbitmqctl may make one, and take every trace of it away."""
    parts = urlsplit(TEST_AMQP_URL)
    vhost = f"notifyflow-chaos-{run}"
    try:
        is_alone = _rabbitmqctl("add_vhost", vhost) and _rabbitmqctl(
            "set_permissions", "-p", vhost, parts.username or "guest", ".*", ".*", ".*"
        )
        with Proxy((parts.hostname or HOST, parts.port or 5672)) as proxy:
            broker = SharedRabbitMQ(proxy, vhost if is_alone else None, prefix=prefix)
            try:
                yield broker
            finally:
                if not is_alone:
                    broker.delete_queues()
    finally:
        # Also where its making was interrupted.
        _rabbitmqctl("delete_vhost", vhost)


def _settings_of_node(folder: Path, port: int, epmd_port: int) -> dict[str, str]:
    """Write the files of a node that shares nothing with another one, and return the environment that names them."""
    home = folder / "home"
    home.mkdir(parents=True)
    for name, text in {
        "rabbitmq.conf": f"listeners.tcp.1 = {HOST}:{port}\n",
        "enabled_plugins": "[].\n",
        "rabbitmq-env.conf": "",
    }.items():
        (folder / name).write_text(text)
    return {
        # Where Erlang makes a cookie of its own.
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_CRASH_DUMP": os.devnull,
        "RABBITMQ_NODENAME": "chaos@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_LOGS": "-",
    }


def _erlang_program(name: str) -> str:
    found = _find_erlang_program(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _find_erlang_program(name: str) -> str | None:
    beside = sorted(Path("/usr/lib/erlang").glob(f"erts-*/bin/{name}"), reverse=True)
    return shutil.which(name) or next(map(str, beside), None)


def _rabbitmqctl(*arguments: str) -> bool:
    program = shutil.which("rabbitmqctl")
    return program is not None and _succeeds(program, *arguments)


def _succeeds(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> bool:
    done = subprocess.run(
        # In a session of its own: a second Ctrl-C must not end what the first one has tidied up.
        [program, "-q", *arguments], check=False, timeout=60, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode == 0
