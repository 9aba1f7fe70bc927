"""The parts of the embedded service: a web server, a Celery worker and the beat, each in a thread."""

import threading
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService, Scheduler
from django.conf import settings
from waitress.server import create_server

from execution import stopping
from notifyflow.wsgi import application
from triggers.bells import lane_queues

WEB_THREADS = 8
WEB_CONNECTIONS = 1000
IDLE_SECONDS = 30
# A batch keeps its thread until its messages are out: with more of them, slow batches more seldom hold up the
# sweep and urgent lanes. There is no thread kept for those two here, as there is a worker in the full profile.
WORKER_THREADS = 4
STOP_SECONDS = 30


class Web:
    """Serves the WSGI application with waitress."""

    def __init__(self, *, host: str, port: int) -> None:
        """Take the port. Raises OSError when it is taken."""
        self._server = create_server(
            application,
            host=host,
            port=port,
            threads=WEB_THREADS,
            ident="notifyflow",
            # A request takes a thread only once all of it is there, so that slow clients cost a connection each.
            connection_limit=WEB_CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            # A little more than the API takes, so that it is the API that refuses; what is large goes to disk.
            max_request_body_size=settings.API_UPLOAD_LIMIT_BYTES + settings.API_BODY_LIMIT_BYTES,
            asyncore_use_poll=True,
        )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the requests under way and close the port."""
        self._server.task_dispatcher.shutdown()
        self._server.close()

    def _run(self) -> None:
        # Closing the listening socket under its own loop is how waitress is stopped from outside.
        with suppress(OSError):
            self._server.run()


class Worker:
    """Runs the tasks of every queue."""

    def __init__(self, app: Celery) -> None:
        self._worker = app.WorkController(
            pool="threads", concurrency=WORKER_THREADS, queues=[*lane_queues(), app.conf.task_default_queue]
        )
        self._thread = threading.Thread(target=self._worker.start, name="worker", daemon=True)

    def start(self) -> None:
        """Begin to take tasks."""
        stopping.go_on()
        self._thread.start()

    def stop(self) -> None:
        """Take no more tasks; finish what is being sent, and give back what has not begun."""
        stopping.ask_to_stop()
        self._worker.stop()
        self._thread.join(STOP_SECONDS)


class Beat:
    """Sends the sweep's tick each second; its schedule lives in memory."""

    def __init__(self, app: Celery) -> None:
        service: Any = EmbeddedService(app, max_interval=1, thread=True, scheduler_cls=Scheduler)
        service.daemon = True
        self._service = service

    def start(self) -> None:
        """Begin to tick."""
        self._service.start()

    def stop(self) -> None:
        """Stop ticking."""
        self._service.stop()
