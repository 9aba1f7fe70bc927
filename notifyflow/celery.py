"""The Celery application; what it runs is declared in `execution.tasks`, how in the settings."""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifyflow.settings")

app = Celery("notifyflow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Stop Celery from replacing the logging that the settings describe."""
