"""`python -m benchmarks.peers.celery_steps <tasks> <prefetch multiplier>`: tasks that do nothing, on prefork 2.

Prints {"steps", "seconds"}. What is done is told by the queue's length, so that nothing is added to a task's work: from
the moment the worker has begun until the queue is empty.
"""

import json
import subprocess
import sys
import time
from typing import Any

from benchmarks.peers.celery_app import app

TIME_LIMIT_SECONDS = 300


def main(tasks: int, multiplier: str) -> None:
    """Fill the queue, start the worker, watch the queue, remove it."""
    step = app.tasks["step"]
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        queue = app.amqp.queues[app.conf.task_default_queue](channel)
        queue.declare()
        with app.amqp.Producer(channel) as producer:
            for _ in range(tasks):
                step.apply_async(producer=producer)
        options = f"--concurrency 2 --prefetch-multiplier {multiplier} --without-gossip --without-mingle".split()
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "benchmarks.peers.celery_app", "worker", *options]
        worker = subprocess.Popen([*command, "--without-heartbeat", "--loglevel", "ERROR"], stdout=subprocess.DEVNULL)
        try:
            gone = connection.channel_errors
            print(json.dumps(_watch(queue, tasks, prefetched=2 * int(multiplier), gone=gone)))
        finally:
            worker.terminate()
            worker.wait(60)
            queue.delete()


def _watch(queue: Any, tasks: int, *, prefetched: int, gone: tuple[type[BaseException], ...]) -> dict[str, float]:
    until = time.monotonic() + TIME_LIMIT_SECONDS
    started = 0.0
    at_start = left = tasks
    while time.monotonic() < until:
        try:
            left = queue.queue_declare(passive=True).message_count
        except gone:
            left = 0  # on Redis, an empty list is no list
        now = time.monotonic()
        if not started and left < tasks - prefetched:
            started, at_start = now, left
        if started and left == 0:
            return {"steps": at_start, "seconds": now - started}
        time.sleep(0.01)
    raise TimeoutError(f"{left} of {tasks} tasks are left after {TIME_LIMIT_SECONDS} s.")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
