"""A provider on this machine, reached over real sockets: SMTP for email, Twilio's API for SMS."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.environment import Place
from benchmarks.posting import HOST


@dataclass(frozen=True, slots=True)
class Reached:
    """Where the provider listens, as settings."""

    smtp_port: int
    http_port: int

    @property
    def email_url(self) -> str:
        """Return the EMAIL_URL of it."""
        return f"smtp://{HOST}:{self.smtp_port}"

    @property
    def sms(self) -> dict[str, str]:
        """Return the settings that have SMS go there."""
        return {
            "SMS_PROVIDER": "twilio",
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "unused",
            "TWILIO_FROM": "+14155550100",
            "TWILIO_API_BASE": f"http://{HOST}:{self.http_port}",
        }


@contextmanager
def provider(where: Place, *, milliseconds: float, fail_percent: float = 0) -> Iterator[Reached]:
    """Run a provider that takes so long for each message and says "later" to so many."""
    options = ("--smtp-ms", str(milliseconds), "--http-ms", str(milliseconds), "--fail-percent", str(fail_percent))
    with where.process("provider", sys.executable, "-m", "benchmarks.provider", *options):
        log = where.folder / "provider.log"
        until = time.monotonic() + 30
        while not (said := log.read_text()).endswith("\n"):
            if time.monotonic() > until:
                raise TimeoutError("The provider did not start within half a minute.")
            time.sleep(0.05)
        ports = json.loads(said.splitlines()[0])
        yield Reached(ports["smtp"], ports["http"])
