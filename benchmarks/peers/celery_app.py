"""A Celery task that does nothing, for `celery worker`; runs in the peers' own environment."""

import os

from celery import Celery

app = Celery("nothing", broker=os.environ["PEER_BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ["PEER_QUEUE"],
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


def step() -> None:
    """Do nothing."""


app.task(name="step", ignore_result=True)(step)
