"""`manage.py embedded`: the whole service in one process, for a first look and for small installations."""

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.utils import timezone

from execution.sweep import free_expired_leases
from notifyflow.celery import app
from notifyflow.embedded import demo
from notifyflow.embedded.example import ExampleFailed, trigger_example, watch
from notifyflow.embedded.threads import Beat, Web, Worker

HOST = "127.0.0.1"
DEFAULT_PASSWORD = "notifyflow"  # noqa: S105  # the demo's, printed on every start


class Command(BaseCommand):
    """Run web, worker and beat as threads until SIGINT or SIGTERM."""

    help = "Run the embedded service: web, worker and beat in one process, on SQLite, with demo data."

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up, start, show the example, and wait for the signal to stop."""
        if not settings.IS_EMBEDDED:
            raise CommandError("DATABASE_URL is set: that is the full profile; start it with `make up`.")
        if isinstance(sys.stdout, TextIOWrapper):
            # Whoever reads through a pipe or a file wants to see it happen too.
            sys.stdout.reconfigure(line_buffering=True)
        password = os.environ.get("DEMO_PASSWORD") or DEFAULT_PASSWORD
        stop = _stop_event()
        with only_one(settings.VAR_DIR), ExitStack() as running:
            call_command("migrate", verbosity=0)
            demo.seed(password=password)
            self._take_over()
            url = self._start(running, port=_port())
            self._say_where(url, password)
            if not stop.is_set():
                self._show_example(url, password)
                self.stdout.write(self.style.SUCCESS(f"\nReady at {url} - Ctrl-C stops it.\n"))
            stop.wait()
            self.stdout.write("\nStopping; what is not finished goes on at the next start.")
        self.stdout.write("Stopped.")

    def _take_over(self) -> None:
        """Free what the last process held: this one is the only one, so that nobody works on it any more."""
        beyond_every_lease = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
        freed = 0
        while batch := free_expired_leases(now=beyond_every_lease):
            freed += batch
        if freed:
            self.stdout.write(f"Going on with {freed} trigger(s) that the last run had under way.")

    def _start(self, running: ExitStack, *, port: int) -> str:
        try:
            web = Web(host=HOST, port=port)
        except OSError as error:
            raise CommandError(f"Port {port} is taken ({error.strerror}); choose another: PORT=8001 make run") from None
        for part in (web, Worker(app), Beat(app)):
            part.start()
            running.callback(part.stop)
        return f"http://{HOST}:{port}"

    def _say_where(self, url: str, password: str) -> None:
        shown = password if password == DEFAULT_PASSWORD else "the one in DEMO_PASSWORD"
        for name, what in (
            ("Admin", f"{url}/admin/"),
            ("API", f"{url}/api/v1/ (try it: {url}/api/docs/)"),
            ("Outbox", f"{settings.OUTBOX_DIR} (emails and texts are written there, not sent)"),
            ("State", str(settings.VAR_DIR)),
            ("Users", f"{', '.join(demo.USERS)}; password: {shown}"),
        ):
            self.stdout.write(f"{self.style.MIGRATE_HEADING(f'{name:8}')}{what}")

    def _show_example(self, url: str, password: str) -> None:
        self.stdout.write(f"\nTriggering the workflow {demo.WORKFLOW_KEY!r} for {demo.TRIGGER['recipient']['name']}:")
        begun = timezone.now()
        try:
            for moment, step in watch(trigger_example(url, username="operator", password=password)):
                seconds = (moment - begun).total_seconds()
                status = (self.style.SUCCESS if step.finished_at else self.style.WARNING)(f"{step.status:10}")
                self.stdout.write(
                    f"  {seconds:5.2f} s  {step.node_id:10} {step.node_type:6} {status} {step.message_id}"
                )
        except (ExampleFailed, OSError) as error:
            raise CommandError(f"The example did not run to its end: {error}") from None


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the state folder for this process alone. Raises CommandError when another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "embedded.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"Another NotifyFlow runs on {folder}; stop it, or choose another folder: NOTIFYFLOW_VAR=... make run"
            ) from None
        yield


def _stop_event() -> threading.Event:
    event = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        event.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return event


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 2**16:
        raise CommandError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    return int(text)
