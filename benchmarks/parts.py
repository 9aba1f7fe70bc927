"""The parts of the benchmark by name, in the order in which they run."""

from collections.abc import Callable

from benchmarks import concurrency, end_to_end, engine, ingest, priority, scale, shapes, slow_provider
from benchmarks.bench import Bench

PARTS: dict[str, Callable[[Bench], None]] = {
    "engine": engine.run,
    "shapes": shapes.run,
    "ingest": ingest.run,
    "end_to_end": end_to_end.run,
    "priority": priority.run,
    "slow_provider": slow_provider.run,
    "concurrency": concurrency.run,
    "scale": scale.run,
}
