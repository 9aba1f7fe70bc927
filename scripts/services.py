"""The services and the browser that tests need: used where they answer, else started, else asked for.

scripts/services ensure     PostgreSQL, RabbitMQ and Redis answer afterwards, or it says what to do
scripts/services env        where they are, as lines for a shell to evaluate
scripts/services browser    Chromium is there afterwards, or it says what to do
"""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence

import starters
from probes import POSTGRESQL, SERVICES, Reading, Service, look
from starters import CannotStartError, say

# RabbitMQ's first boot on a busy small machine takes half a minute.
START_LIMIT_SECONDS = 120
TELL_EVERY_SECONDS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def ensure() -> dict[Service, str]:
    """Return each service's URL, having started what did not answer; raises CannotStartError."""
    found = {service: _log_in(service, look(service)) for service in SERVICES}
    silent = [service for service, url in found.items() if url is None]
    if silent:
        _start(silent)
        found |= {service: _wait_for(service) for service in silent}
    return {service: url for service, url in found.items() if url is not None}


def _log_in(service: Service, reading: Reading) -> str | None:
    """The URL that works, or None when nobody listens; raises CannotStartError when log-ins are refused."""
    if reading.refusal is None or reading.url is not None:
        return reading.url
    if service is POSTGRESQL and service.chosen_url is None and starters.make_postgresql_role():
        reading = look(service)
        if reading.url is not None:
            return reading.url
    raise CannotStartError(
        f"Something answers on {service.place} but not as the {service.name} we need ({reading.refusal}): "
        f"set {service.setting} to one that lets us in."
    )


def _start(services: Sequence[Service]) -> None:
    names = ", ".join(service.name for service in services)
    for service in services:
        if service.chosen_url is not None:
            raise CannotStartError(
                f"{service.name} does not answer on {service.place}, where {service.setting} says it is: "
                f"start it, or unset {service.setting}."
            )
    if starters.has_docker():
        starters.start_in_docker(services)
    elif starters.has_debian():
        starters.start_on_debian(services)
    else:
        places = ", ".join(service.place for service in services)
        settings = ", ".join(service.setting for service in services)
        raise CannotStartError(
            f"{names} did not answer on {places}, and neither a Docker engine runs here nor is this root on "
            f"Debian: start them yourself, start Docker, become root, or set {settings} to where they are."
        )


def _wait_for(service: Service) -> str:
    started = time.monotonic()
    told_at = started
    while (now := time.monotonic()) - started < START_LIMIT_SECONDS:
        url = _log_in(service, look(service))
        if url is not None:
            say(f"{service.name} answers on {service.place} after {now - started:.0f}s.")
            return url
        if now - told_at > TELL_EVERY_SECONDS:
            say(f"Waiting for {service.name} ... {now - started:.0f}s")
            told_at = now
        time.sleep(0.3)
    raise CannotStartError(
        f"{service.name} was started and still does not answer on {service.place} after "
        f"{START_LIMIT_SECONDS}s: see its log, or set {service.setting} to one that does."
    )


def ensure_browser() -> str:
    """Return the path of a Chromium, installed from Debian when root; raises CannotStartError."""
    path = find_browser()
    if path is None and starters.has_debian():
        # Recommended packages are left out, and the fonts are among them: pages would show empty boxes.
        starters.install(["chromium", "fonts-liberation"])
        path = find_browser()
    if path is None:
        raise CannotStartError(
            "The page tests need Chromium and there is none here: install it (on Debian: apt-get install "
            "chromium), or set TEST_CHROMIUM to its path."
        )
    return path


def find_browser() -> str | None:
    chosen = os.environ.get("TEST_CHROMIUM")
    return shutil.which(chosen) if chosen else next(filter(None, map(shutil.which, BROWSERS)), None)


def settings() -> dict[str, str]:
    """Where everything is, under the names that the tests read; raises CannotStartError."""
    lines = {}
    for service in SERVICES:
        reading = look(service)
        if reading.url is None:
            raise CannotStartError(f"{service.name} does not answer on {service.place}: run scripts/services ensure.")
        lines[service.setting] = reading.url
    browser = find_browser()
    return lines | ({"TEST_CHROMIUM": browser} if browser else {})


def main(arguments: Sequence[str]) -> int:
    try:
        match arguments:
            case ["ensure"]:
                ensure()
                say("PostgreSQL, RabbitMQ and Redis answer.")
            case ["env"]:
                for name, value in settings().items():
                    print(f"{name}={shlex.quote(value)}")
            case ["browser"]:
                ensure_browser()
            case _:
                say("usage: scripts/services ensure|env|browser")
                return 2
    except CannotStartError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
