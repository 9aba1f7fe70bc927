"""`python -m benchmarks.peers.procrastinate_steps fill <jobs>` or `work <concurrency>`: jobs that do nothing.

`work` says "ready", waits for a line, works off what there is and prints {"started", "ended"}.
"""

import asyncio
import json
import os
import sys
import time

from procrastinate import (  # type: ignore[import-not-found]  # in the peers' own environment
    App,
    PsycopgConnector,
)

app = App(connector=PsycopgConnector(conninfo=os.environ["PEER_DATABASE_URL"], min_size=1, max_size=16))


async def nothing() -> None:
    """Do nothing."""


step = app.task(name="nothing")(nothing)


async def fill(jobs: int) -> None:
    """Put the backlog into the queue."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, 1000):
            await step.batch_defer_async(*({} for _ in range(min(1000, jobs - start))))


async def work(concurrency: int) -> None:
    """Work until the queue is empty."""
    async with app.open_async():
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        started = time.time()
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False)
        print(json.dumps({"started": started, "ended": time.time()}), flush=True)


if __name__ == "__main__":
    asyncio.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work(int(sys.argv[2])))
