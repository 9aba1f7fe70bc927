"""The Celery application; what it runs is declared in `execution.tasks`, how in the settings.

Worker and beat do not start with settings that a check refuses; a worker stops cleanly: see `execution.stopping`.
"""

import os
import sys

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_process_init, worker_shutting_down
from django.core.checks import ERROR, run_checks

from execution.stopping import ask_to_stop
from notifyflow import redis_broker
from notifyflow.collector import spare_what_is_loaded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifyflow.settings")

redis_broker.register()

app = Celery("notifyflow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Stop Celery from replacing the logging that the settings describe."""


@worker_init.connect
def refuse_unsafe_settings(**_: object) -> None:
    """End a worker that would start with what `manage.py check` refuses; Celery runs the checks and goes on anyway."""
    _refuse("worker")


@beat_init.connect
def refuse_unsafe_settings_of_beat(**_: object) -> None:
    """End a beat likewise: its installation's workers would not start, and nobody would hear its ticks."""
    _refuse("beat")


def _refuse(name: str) -> None:
    if errors := [fault for fault in run_checks() if fault.level >= ERROR]:
        # Celery logs what a receiver raises, and starts; an exit it lets pass.
        sys.exit("\n".join(f"The {name} does not start: {fault.msg} {fault.hint or ''}".strip() for fault in errors))


@worker_process_init.connect
def spare_the_collector(**_: object) -> None:
    """Save a worker process the look at what is loaded for good: a twelfth of a step's time."""
    spare_what_is_loaded()


@worker_shutting_down.connect
def stop_batches(**_: object) -> None:
    """Tell the batches under way, in whatever process or thread, to come to their end."""
    ask_to_stop()
