"""One round, from the first process to the verdict; its table, and its journals if it ends badly."""

import heapq
import json
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from amqp import AMQPError
from kombu.exceptions import OperationalError

from tests.chaos import evidence, faults, recovery
from tests.chaos.clients import Clients
from tests.chaos.servers import check_programs
from tests.chaos.story import RETRY_CAP_SECONDS, WORKFLOW_KEY
from tests.chaos.world import DEFAULT_LEASE_SECONDS, LEASE_SECONDS, TIMES, World, running
from tests.e2e.processes import ROOT
from tests.fakes.jsonl import JsonLines

TELL_EVERY_SECONDS = 5.0
# A round is stuck when for so long no trigger was accepted, no node got done and no trigger ended. When the last fault
# is over and the servers answer, one node may still stand still for a lease that a dead worker holds, for the longest
# pause between two attempts of Celery to connect to its broker, and for more failed attempts than anybody will see in a
# row: 0.06 ** 9 for each of 20,000 messages is once in five million rounds.
# A small machine works off what has piled up as long as it likes, as nodes get done meanwhile. Attempts that fail for
# ever are no movement, so that does end.
RECONNECT_SECONDS = 30.0
ATTEMPTS_IN_A_ROW = 9
ATTEMPT_SECONDS = float(TIMES["PROVIDER_TIMEOUT_SECONDS"]) + RETRY_CAP_SECONDS
STUCK_SECONDS = LEASE_SECONDS + RECONNECT_SECONDS + ATTEMPTS_IN_A_ROW * ATTEMPT_SECONDS
TROUBLE = 0.06
VERIFY = "verify"
UNDER_WAY = "triggers_trigger WHERE status IN ('enqueued', 'processing')"
ENDED = "triggers_trigger WHERE completed_at IS NOT NULL"
# What is counted here happens once to each node.
NODES_DONE = "execution_step WHERE status IN ('succeeded', 'skipped')"
IN_DOUBT = "execution_step WHERE status = 'in_doubt'"
AWAY = -1


@dataclass(frozen=True)
class Plan:
    """How large a round is; the same seed gives the same faults at the same times."""

    seed: int
    broker: str
    triggers: int
    seconds: float
    faults: int
    with_recovery: bool = True


@dataclass
class Outcome:
    """How a round ended: it is clean when `faults` is empty; `folder` is there only when it is not.

    What is not known yet is empty, so one of a round that broke off says what it can.
    """

    plan: Plan
    folder: Path | None = None
    faults: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    recovery: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    broker_is: str = ""

    def table(self) -> str:
        """Return what was done and what came of it, for people."""
        plan = self.plan
        lines = [f"Chaos on {plan.broker}, CHAOS_SEED={plan.seed}: {plan.triggers} triggers, {self.seconds:.0f} s"]
        lines += [f"  {self.broker_is}"]
        lines += [f"  {name:<48}{times:>7}" for name, times in sorted(self.done.items())]
        lines += ["  -- what the clients heard"]
        lines += [f"  {name:<48}{times:>7}" for name, times in sorted(self.answers.items())]
        lines += ["  -- what came of it"]
        lines += [f"  {name:<48}{number:>7}" for name, number in self.numbers.items()]
        if self.recovery:
            note = f"lease {LEASE_SECONDS} s here, {DEFAULT_LEASE_SECONDS} s by default"
            lines += [f"  -- seconds until work went on ({note})"]
            lines += [
                f"  {name:<48}{seconds:>7.1f}  of {recovery.LIMITS[name]:.0f} allowed"
                for name, seconds in self.recovery.items()
            ]
        lines += [f"  WRONG: {fault}" for fault in self.faults] or ["  clean"]
        if self.faults:
            lines += [f"  journals and logs: {self.folder}"]
        return "\n".join(lines)


def run_round(plan: Plan, *, say: Callable[[str], None], outcome: Outcome | None = None) -> Outcome:
    """Run one round to its end; everything it started is gone afterwards, also when it is interrupted.

    Raises MissingProgramsError before anything starts. `outcome` is filled in as it goes, for whoever wants to know
    about a round that breaks off.
    """
    check_programs()
    outcome = outcome or Outcome(plan)
    outcome.folder = folder = Path(tempfile.mkdtemp(prefix=f"notifyflow-chaos-{plan.broker}-{plan.seed}-"))
    began = time.monotonic()
    try:
        with _ended_by_signals(), running(folder, broker=plan.broker, seed=plan.seed, tell=say) as world:
            outcome.broker_is = world.broker.what
            _run(plan, world, outcome, say)
    except BaseException:
        say(f"The round broke off; journals and logs: {folder}")
        raise
    finally:
        outcome.seconds = time.monotonic() - began
    if not outcome.faults:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _run(plan: Plan, world: World, outcome: Outcome, say: Callable[[str], None]) -> None:
    journal = JsonLines(world.folder / "clients.jsonl")
    clients = Clients(world.port, world.token, journal, plan.triggers, plan.seconds)
    try:
        world.trouble(TROUBLE)
        clients.start()
        _break_things(plan, world, clients, outcome, say)
        # RabbitMQ may be booting.
        world.broker.wait()
        _settle(world, clients, outcome, say)
        world.trouble(0)
        if plan.with_recovery and not outcome.faults:
            say("measuring recovery")
            outcome.recovery = recovery.measure(world, clients, plan.triggers)
            _settle(world, clients, outcome, say)
    finally:
        clients.stop()
        journal.close()
    _judge(world, clients, outcome)


def _break_things(plan: Plan, world: World, clients: Clients, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Do what is planned, each thing at its time, and end what lasts."""
    began = time.monotonic()
    order = count()
    agenda = [(each.at, next(order), each) for each in faults.plan(plan.seed, seconds=plan.seconds, faults=plan.faults)]
    endings: list[tuple[float, int, Callable[[], object]]] = []
    journal = JsonLines(world.folder / "faults.jsonl")
    told_at = began
    try:
        while agenda or endings or time.monotonic() < began + plan.seconds:
            now = time.monotonic() - began
            while endings and endings[0][0] <= now:
                heapq.heappop(endings)[2]()
            if agenda and agenda[0][0] <= now:
                planned = agenda.pop(0)[2]
                journal.append({"at": time.time(), "second": round(now, 2), "fault": planned.fault.name})
                if ending := _act(world, planned, outcome):
                    heapq.heappush(endings, (now + ending[0], next(order), ending[1]))
            if time.monotonic() - told_at > TELL_EVERY_SECONDS:
                told_at = time.monotonic()
                say(f"{now:4.0f} s  {_progress(world, clients)}; {outcome.done.total()} faults so far")
            time.sleep(0.02)
    finally:
        while endings:
            heapq.heappop(endings)[2]()
        journal.close()


def _act(world: World, planned: faults.Planned, outcome: Outcome) -> faults.Ending | None:
    outcome.done[planned.fault.name] += 1
    try:
        return planned.fault.act(world, random.Random(planned.seed))
    except (OSError, OperationalError, AMQPError) as error:
        # What was to be broken was away itself.
        outcome.done[f"{planned.fault.name}: not possible then"] += 1
        world.tell(f"{planned.fault.name}: {error!r}")
        return None


def _settle(world: World, clients: Clients, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Wait until everything is accepted and ended, as long as it goes forward."""
    began = told_at = moved_at = time.monotonic()
    before: tuple[int, ...] = ()
    while time.monotonic() < moved_at + STUCK_SECONDS:
        under_way, nodes_done = _look(world, UNDER_WAY, NODES_DONE)
        if clients.is_done and under_way == 0:
            return
        if before != (before := (len(clients.accepted), under_way, nodes_done)):
            moved_at = time.monotonic()
        if time.monotonic() - told_at > TELL_EVERY_SECONDS:
            told_at = time.monotonic()
            say(f"  +{told_at - began:3.0f} s  settling: {_progress(world, clients)}")
        time.sleep(0.3)
    outcome.faults.append(f"stuck, nothing moved for {STUCK_SECONDS:.0f} s: {_progress(world, clients)}")


def _progress(world: World, clients: Clients) -> str:
    ended, doubted = _look(world, ENDED, IN_DOUBT)
    words = "PostgreSQL away" if ended == AWAY else f"{ended} ended, {doubted} steps in doubt"
    return f"{len(clients.accepted)} of {clients.triggers} accepted, {words}"


def _look(world: World, *counts: str) -> tuple[int, ...]:
    """Return these counts, or AWAY for each."""
    statement = ", ".join(f"(SELECT count(*) FROM {count})" for count in counts)
    try:
        with psycopg.connect(world.postgres.url, autocommit=True, connect_timeout=2) as looking:
            return looking.execute(f"SELECT {statement}".encode()).fetchone() or ()
    except psycopg.OperationalError:
        return (AWAY,) * len(counts)


def _judge(world: World, clients: Clients, outcome: Outcome) -> None:
    """Compare what the clients heard, the database holds and the providers took."""
    outcome.answers = clients.answers
    found = evidence.look(world.postgres.url, clients.accepted, [each.journal for each in world.providers])
    outcome.numbers = found.numbers
    outcome.faults += found.faults
    if clients.odd:
        outcome.faults.append(f"{len(clients.odd)} odd answers: {clients.odd[:3]}")
    outcome.faults += world.supervisor.unexpected
    for status in ("500", "502", "504"):
        if clients.answers[status]:
            outcome.faults.append(f"{clients.answers[status]} answers {status}; a database that is away makes 503")
    if clients.without_pause:
        outcome.faults.append(f"{clients.without_pause} answers 503 without Retry-After")
    hung = sum(times for name, times in clients.answers.items() if name.startswith("no answer"))
    if hung:
        outcome.faults.append(f"{hung} requests hung")
    for name, seconds in outcome.recovery.items():
        if seconds > recovery.LIMITS[name]:
            outcome.faults.append(f"{name} after {seconds:.1f} s, {recovery.LIMITS[name]:.0f} s are allowed")
    _verify(world, outcome)
    (world.folder / "outcome.json").write_text(json.dumps({"workflow": WORKFLOW_KEY, "faults": outcome.faults}))


def _verify(world: World, outcome: Outcome) -> None:
    """Have the project's own check look too."""
    if not any(ROOT.glob(f"*/management/commands/{VERIFY}.py")):
        return
    done = world.manage(VERIFY)
    (world.folder / "verify.txt").write_text(done.stdout)
    if done.returncode != 0:
        outcome.faults.append(f"manage.py verify ended with {done.returncode}: {done.stdout[-600:]}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the first SIGTERM or Ctrl-C end a round so that nothing stays behind; the next ones must not end that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        for number in before:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
