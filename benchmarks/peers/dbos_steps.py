"""`python -m benchmarks.peers.dbos_steps <workflows> <threads>`: workflows of three steps that do nothing.

Prints {"steps", "seconds"} of this process. Workflows are started directly, which is quicker than through a queue.
"""

import json
import os
import sys
import time

from dbos import DBOS  # type: ignore[import-not-found]  # in the peers' own environment

STEPS = 3


def nothing(number: int) -> int:
    """Do nothing."""
    return number


def main(workflows: int, threads: int) -> None:
    """Start all workflows and wait for the last."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": os.environ["PEER_DATABASE_URL"],
            "log_level": "ERROR",
            "run_admin_server": False,
            "max_executor_threads": threads,
        }
    )
    step = DBOS.step(name="nothing")(nothing)

    def three(number: int) -> int:
        for _ in range(STEPS):
            number = step(number)
        return number

    workflow = DBOS.workflow(name="three")(three)
    DBOS.launch()
    for number in range(10):
        workflow(number)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.time()
    for handle in [DBOS.start_workflow(workflow, number) for number in range(workflows)]:
        handle.get_result()
    print(json.dumps({"steps": workflows * STEPS, "started": started, "ended": time.time()}), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
