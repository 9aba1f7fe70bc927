"""Wiring: settings, URLs, the Celery application and the API's glue. No business rule lives here."""

from notifyflow.celery import app as celery_app

__all__ = ["celery_app"]
