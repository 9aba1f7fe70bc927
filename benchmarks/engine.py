"""Durable steps a second: a backlog of three-node triggers, beside what others do in the same minutes."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial

from benchmarks.backlog import work_off
from benchmarks.bench import Bench
from benchmarks.environment import Place, place, redis_url
from benchmarks.peers import rates
from benchmarks.peers.install import NotInstalled, node_peers, node_versions, python_peers, python_versions

TRIGGERS = 30_000
JOBS = 40_000
CELERY_TASKS = 15_000
DBOS_WORKFLOWS = 600
PROCRASTINATE_JOBS = 3_000
OURS = "NotifyFlow, 2 workers"
Rate = Callable[[], float]


def run(bench: Bench) -> None:
    """Measure ours with one and two worker processes, and each peer, one after the other in each round."""
    samples: defaultdict[str, list[float]] = defaultdict(list)
    with place() as where:
        where.fixtures("workflows", "three-nodes")
        others = _others(bench, where)
        for number in range(1, bench.rounds + 1):
            for workers in (2, 1):
                worked = work_off(where, "three-nodes", bench.sized(TRIGGERS, least=500), workers=workers)
                name = OURS if workers == 2 else "NotifyFlow, 1 worker"
                samples[name].append(worked.rate)
                bench.figure("engine", f"{name}, round {number}", worked.rate, "steps/s", **worked.more)
            for name, rate in others.items():
                samples[name].append(rate())
                bench.say(f"engine: {name}, round {number}: {samples[name][-1]:,.0f} steps/s")
    for key, name in {"bullmq": "BullMQ", "dbos": "DBOS", "celery": "Celery on RabbitMQ"}.items():
        if name in samples:
            bench.bar(key, samples[OURS], samples[name])
        else:
            bench.bar(key, samples[OURS], note=f"{name} can't run here")
    for name, found in samples.items():
        bench.figure("engine", name, sorted(found)[len(found) // 2], "steps/s, median")


def _others(bench: Bench, where: Place) -> dict[str, Rate]:
    """Return the peers that can run here, each tuned by trial."""
    found: dict[str, Rate] = {}
    for peers in (_node, _python):
        try:
            found |= peers(bench, where)
        except NotInstalled as error:
            bench.say(f"engine: left out: {error}")
    return found


def _node(bench: Bench, where: Place) -> dict[str, Rate]:
    node_peers()
    bench.peers |= node_versions()
    jobs = bench.sized(JOBS, least=2_000)
    concurrency = bench.best(
        "BullMQ concurrency", (5, 50, 200), lambda each: rates.bullmq(where, jobs // 2, concurrency=each)
    )
    return {"BullMQ": partial(rates.bullmq, where, jobs, concurrency=concurrency)}


def _python(bench: Bench, where: Place) -> dict[str, Rate]:
    python_peers()
    bench.peers |= python_versions()
    tasks = bench.sized(CELERY_TASKS, least=2_000)
    workflows = bench.sized(DBOS_WORKFLOWS, least=60)
    jobs = bench.sized(PROCRASTINATE_JOBS, least=500)
    found: dict[str, Rate] = {}
    brokers = {"RabbitMQ": where.environment["CELERY_BROKER_URL"], "Redis": redis_url()}
    for broker, url in brokers.items():
        celery = partial(rates.celery, where, broker_url=url)
        what = f"Celery on {broker}, prefetch multiplier"
        multiplier = bench.best(what, (4, 64), _celery_trial(celery, tasks // 3))
        found[f"Celery on {broker}"] = partial(celery, tasks, multiplier=multiplier)
    threads = bench.best("DBOS threads", (4, 16), lambda each: rates.dbos(where, workflows // 3, threads=each))
    found["DBOS"] = partial(rates.dbos, where, workflows, threads=threads)
    concurrency = bench.best(
        "procrastinate concurrency", (5, 30), lambda each: rates.procrastinate(where, jobs // 3, concurrency=each)
    )
    found["procrastinate"] = partial(rates.procrastinate, where, jobs, concurrency=concurrency)
    return found


def _celery_trial(celery: Callable[..., float], tasks: int) -> Callable[[int], float]:
    return lambda multiplier: celery(tasks, multiplier=multiplier)
