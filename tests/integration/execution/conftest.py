"""Providers to send to, and ways to be a worker that dies."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pytest
from django.utils import timezone
from pytest_django import Settings

from execution.claims import Claim, claim_batch
from execution.recording import advance, record
from execution.runs import Run, load_runs
from execution.work import Result, Send, next_work
from tests.fakes.smtp import FakeSmtp


@pytest.fixture
def smtp(settings: Settings) -> Iterator[FakeSmtp]:
    """Run an SMTP server that the email channel sends to."""
    with FakeSmtp() as server:
        send_to(server, settings)
        yield server


def send_to(server: FakeSmtp, settings: Settings) -> None:
    """Have the email channel send to this server."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.PROVIDER_TIMEOUT_SECONDS = settings.EMAIL_TIMEOUT = 2


def claim_and_write_intents(lane: str = "medium", *, now: datetime | None = None) -> tuple[Claim, list[Send]]:
    """Be a worker up to the moment before it sends; a test that stops here is a worker that died there."""
    moment = now or timezone.now()
    claim = claim_batch(lane, limit=100, now=moment)
    runs, _ = load_runs(claim.trigger_ids)
    sends = [work for run in runs if isinstance(work := next_work(run, now=moment), Send)]
    return claim, write_intents(claim, sends)


def write_intents(claim: Claim, sends: Sequence[Send]) -> list[Send]:
    """Store the intents of what the claim still holds, and return those sends."""
    held = record(claim, [], sends, now=timezone.now())
    return [send for send in sends if send.run.id in held]


def record_results(claim: Claim, results: Sequence[Result], *, now: datetime, may_go_on: bool) -> list[Run]:
    """Store what came of nodes, as far as the claim still holds their triggers; return the runs that go on."""
    advances = [advance(result, now=now, may_go_on=may_go_on) for result in results]
    held = record(claim, advances, now=now)
    return [each.result.run for each in advances if each.goes_on and each.result.run.id in held]
