"""What is done to a running world, and the plan of it that a seed gives."""

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.chaos.world import LEASE_SECONDS, WORKERS, World

# The end of a fault that lasts: after how many seconds, and what is done then.
Ending = tuple[float, Callable[[], object]]
FROZEN_SECONDS = LEASE_SECONDS + 2.0
# Until then the workers have something in hand.
FIRST_SECOND = 3.0


@dataclass(frozen=True)
class Fault:
    """One way to break things; `act` may answer when and how it ends."""

    name: str
    act: Callable[[World, random.Random], Ending | None]


@dataclass(frozen=True)
class Planned:
    """One fault at its time, in seconds from the start, with the seed of its own dice."""

    at: float
    fault: Fault
    seed: int


def plan(seed: int, *, seconds: float, faults: int) -> list[Planned]:
    """Return so many faults within so many seconds: first each once, in any order, then at random; earliest first."""
    dice = random.Random(seed)
    chosen = dice.sample(FAULTS, min(faults, len(FAULTS)))
    chosen += dice.choices(FAULTS, k=faults - len(chosen))
    times = sorted(dice.uniform(FIRST_SECOND, seconds) for _ in chosen)
    return [Planned(at, fault, dice.randrange(2**32)) for at, fault in zip(times, chosen, strict=True)]


def _kill_worker(world: World, dice: random.Random) -> None:
    world.supervisor.kill(dice.choice(WORKERS))


def _kill_main(world: World, dice: random.Random) -> None:
    world.supervisor.signal_main(dice.choice(WORKERS), signal.SIGKILL)


def _kill_child(world: World, dice: random.Random) -> None:
    world.supervisor.kill_child(dice.choice(WORKERS), dice)


def _stop_worker(world: World, dice: random.Random) -> None:
    world.supervisor.signal_main(dice.choice(WORKERS), signal.SIGTERM)


def _freeze_worker(world: World, dice: random.Random) -> Ending:
    name = dice.choice(WORKERS)
    world.supervisor.freeze(name)
    return FROZEN_SECONDS, partial(world.supervisor.thaw, name)


def _kill_beat(world: World, dice: random.Random) -> None:
    world.supervisor.kill("beat")


def _freeze_beat(world: World, dice: random.Random) -> Ending:
    world.supervisor.freeze("beat")
    return dice.uniform(2, 6), partial(world.supervisor.thaw, "beat")


def _kill_web(world: World, dice: random.Random) -> None:
    world.supervisor.kill("web")


def _kill_web_child(world: World, dice: random.Random) -> None:
    # Granian gives up when it loses a process again within seconds, and leaves the rest to its supervisor.
    world.supervisor.excuse("web")
    world.supervisor.kill_child("web", dice)


def _crash_broker(world: World, dice: random.Random) -> Ending:
    world.broker.crash()
    # RabbitMQ takes some seconds more to boot.
    return dice.uniform(0.5, 4), world.broker.start


def _refuse_broker(world: World, dice: random.Random) -> Ending:
    world.broker.refuse()
    return dice.uniform(1, 6), world.broker.accept


def _silence_broker(world: World, dice: random.Random) -> Ending:
    world.broker.silence()
    return dice.uniform(2, 6), world.broker.speak


def _cut_broker(world: World, dice: random.Random) -> None:
    world.broker.cut()


def _purge(world: World, dice: random.Random) -> None:
    world.broker.purge()


def _delete_queues(world: World, dice: random.Random) -> None:
    world.broker.delete_queues()


def _flush_cache(world: World, dice: random.Random) -> None:
    world.cache.empty()


def _crash_cache(world: World, dice: random.Random) -> Ending:
    world.cache.crash()
    return dice.uniform(1, 5), world.cache.start


def _silence_cache(world: World, dice: random.Random) -> Ending:
    world.cache.silence()
    return dice.uniform(1, 4), world.cache.speak


def _crash_postgres(world: World, dice: random.Random) -> Ending:
    world.postgres.crash()
    return dice.uniform(0.2, 4), world.postgres.start


def _terminate_backends(world: World, dice: random.Random) -> None:
    world.postgres.terminate_backends(dice.uniform(0.3, 1))


def _drop_provider_connections(world: World, dice: random.Random) -> None:
    dice.choice(world.providers).drop()


def _kill_provider(world: World, dice: random.Random) -> Ending:
    provider = dice.choice(world.providers)
    provider.kill()
    return dice.uniform(0.5, 3), provider.start


def _freeze_provider(world: World, dice: random.Random) -> Ending:
    provider = dice.choice(world.providers)
    provider.signal(signal.SIGSTOP)
    return dice.uniform(1, 3), partial(provider.signal, signal.SIGCONT)


def _ring_twice(world: World, dice: random.Random) -> None:
    for _ in range(2):
        world.ring_everything()


FAULTS = (
    Fault("worker killed with its children", _kill_worker),
    Fault("worker's main process killed alone", _kill_main),
    Fault("worker's child killed", _kill_child),
    Fault("worker stopped by SIGTERM", _stop_worker),
    Fault("worker frozen past its lease", _freeze_worker),
    Fault("beat killed", _kill_beat),
    Fault("beat frozen", _freeze_beat),
    Fault("web killed in mid-request", _kill_web),
    Fault("one web process killed", _kill_web_child),
    Fault("broker killed", _crash_broker),
    Fault("broker out of reach", _refuse_broker),
    Fault("broker silent", _silence_broker),
    Fault("broker connections cut", _cut_broker),
    Fault("every queue purged", _purge),
    Fault("every queue deleted", _delete_queues),
    Fault("cache flushed", _flush_cache),
    Fault("cache away", _crash_cache),
    Fault("cache silent", _silence_cache),
    Fault("PostgreSQL stopped -m immediate", _crash_postgres),
    Fault("database backends terminated", _terminate_backends),
    Fault("provider connections dropped", _drop_provider_connections),
    Fault("provider killed", _kill_provider),
    Fault("provider frozen", _freeze_provider),
    Fault("every bell delivered twice", _ring_twice),
)
