"""`manage.py embedded`: the whole service in one process, for a first look and for small installations."""

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import DatabaseError
from django.utils import timezone

from channels import outbox
from channels.registry import channel_for
from execution.sweep import free_expired_leases
from notifyflow.celery import app
from notifyflow.embedded import demo
from notifyflow.embedded.example import ExampleFailed, trigger_example, watch
from notifyflow.old_tables import require_current_tables

HOST = "127.0.0.1"
BEYOND_EVERY_LEASE = datetime.max.replace(tzinfo=UTC)


class Command(BaseCommand):
    """Run web, worker and beat as threads until SIGINT or SIGTERM; a second one waits for nothing."""

    help = "Run the embedded service: web, worker and beat in one process, on SQLite, with demo data."

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up, start, show the example, and wait for the signal to stop."""
        if not settings.IS_EMBEDDED:
            raise CommandError("DATABASE_URL is set: that is the full profile; start it with `make up`.")
        if isinstance(sys.stdout, TextIOWrapper):
            # Whoever reads through a pipe or a file wants to see it happen too.
            sys.stdout.reconfigure(line_buffering=True)
        password = os.environ.get("DEMO_PASSWORD") or None
        stop = _stop_event()
        with only_one(settings.VAR_DIR), ExitStack() as running:
            call_command("migrate", verbosity=0)
            require_current_tables()
            demo.seed(password=password)
            if freed := take_over():
                self.stdout.write(f"Going on with {freed} trigger(s) that the last run had under way.")
            url = self._start(running, port=_port())
            self._say_where(url, password)
            if not stop.is_set():
                self._show_example(url)
                self.stdout.write(self.style.SUCCESS(f"\nReady at {url} - Ctrl-C stops it.\n"))
            stop.wait()
            self.stdout.write("\nStopping; what is not finished goes on at the next start. Once more ends it at once.")
        self.stdout.write("Stopped.")

    def _start(self, running: ExitStack, *, port: int) -> str:
        # Not before the checks of this command have said in a sentence what the web application would raise.
        from notifyflow.embedded.threads import Beat, Web, Worker  # noqa: PLC0415

        try:
            web = Web(host=HOST, port=port)
        except OSError as error:
            raise CommandError(f"Port {port} is taken ({error.strerror}); choose another: PORT=8001 make run") from None
        for part in (web, Worker(app), Beat(app)):
            part.start()
            running.callback(part.stop)
        return f"http://{HOST}:{port}"

    def _say_where(self, url: str, password: str | None) -> None:
        providers = _providers()
        for name, what in (
            ("Admin", f"{url}/admin/"),
            ("API", f"{url}/api/v1/ (try it: {url}/api/docs/)"),
            ("Email", _where_to(providers["email"])),
            ("SMS", _where_to(providers["sms"])),
            ("State", str(settings.VAR_DIR)),
            ("Users", f"{', '.join(demo.USERS)}; {_whose_password(password)}"),
        ):
            self.stdout.write(f"{self.style.MIGRATE_HEADING(f'{name:8}')}{what}")

    def _show_example(self, url: str) -> None:
        if set(_providers().values()) != {outbox.PROVIDER}:
            self.stdout.write("\nThe example is left out, because its messages would not all stay in the outbox.")
            return
        self.stdout.write(f"\nTriggering the workflow {demo.WORKFLOW_KEY!r} for {demo.TRIGGER['recipient']['name']}:")
        begun = timezone.now()
        try:
            for moment, step in watch(trigger_example(url, token=demo.access_token())):
                seconds = (moment - begun).total_seconds()
                status = (self.style.SUCCESS if step.finished_at else self.style.WARNING)(f"{step.status:10}")
                self.stdout.write(
                    f"  {seconds:5.2f} s  {step.node_id:10} {step.node_type:6} {status} {step.message_id}"
                )
        except (ExampleFailed, DatabaseError) as error:
            self.stderr.write(self.style.WARNING(f"The example did not run to its end, the service runs on: {error}"))


def take_over() -> int:
    """Free all that the last process held: this one is the only one, so that nobody works on it any more."""
    freed = 0
    while batch := free_expired_leases(now=timezone.now(), expired_before=BEYOND_EVERY_LEASE):
        freed += batch
    return freed


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


def _providers() -> dict[str, str]:
    return {name: channel_for(name).provider for name in ("email", "sms")}


def _where_to(provider: str) -> str:
    if provider == outbox.PROVIDER:
        return f"{settings.OUTBOX_DIR} (written there, not sent)"
    return f"sent through {provider}"


def _whose_password(given: str | None) -> str:
    if given:
        return "password: the one in DEMO_PASSWORD"
    changed = demo.with_own_password()
    if len(changed) == len(demo.USERS):
        return "each with a password of its own"
    but_for = f", but for {', '.join(changed)} with one of their own" if changed else ""
    return f"password: {demo.DEFAULT_PASSWORD}{but_for}"


def _stop_event() -> threading.Event:
    event = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        # The second one ends the process on the spot, whatever it waits for: the next start takes up what it held.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        event.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return event


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 2**16:
        raise CommandError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    return int(text)
