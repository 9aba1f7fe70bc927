"""What a worker adds after it has lost its claim, and whose clock says that a renewed claim is still held."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from channels.contract import Receipt
from execution.claims import claim_batch, renew_lease
from execution.clock import database_now
from execution.models import Step
from execution.sending import Answer
from execution.sweep import free_expired_leases
from execution.verdicts import verdict
from tests.factories import TriggerFactory
from tests.integration.execution.conftest import claim_and_write_intents, record_results

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("skew", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_a_lease_is_renewed_by_the_database_s_clock_however_wrong_the_worker_s_is(
    skew: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    TriggerFactory(available_at=timezone.now() - timedelta(hours=1))
    claim = claim_batch("medium", limit=9, now=timezone.now())
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + skew)

    renew_lease(claim)

    now = database_now()
    assert free_expired_leases(now=now + timedelta(seconds=55)) == 0
    assert free_expired_leases(now=now + timedelta(seconds=61)) == 1


def test_late_evidence_says_since_when_it_is_known() -> None:
    """Another attempt may have begun between the end of this one and the moment that it was known: no fault of it."""
    TriggerFactory()
    claim, (send,) = claim_and_write_intents()
    finished_at = timezone.now()
    free_expired_leases(now=finished_at + timedelta(minutes=10))
    answer = Answer(send, finished_at, receipt=Receipt(provider="smtp", message_id="<late>"))
    stored_from = timezone.now()

    record_results(claim, [verdict(answer, now=stored_from, dice=0.5)], now=stored_from, may_go_on=True)

    step = Step.objects.get()
    assert step.finished_at == finished_at
    assert stored_from <= datetime.fromisoformat(step.output["known_at"]) <= timezone.now()


def test_an_outcome_that_came_in_time_needs_no_word_of_it() -> None:
    TriggerFactory()
    claim, (send,) = claim_and_write_intents()
    now = timezone.now()
    answer = Answer(send, now, receipt=Receipt(provider="smtp", message_id="<id>"))

    record_results(claim, [verdict(answer, now=now, dice=0.5)], now=now, may_go_on=True)

    assert "known_at" not in Step.objects.get().output
