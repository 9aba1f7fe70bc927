"""What the sweep leaves as it is: steps that have ended, those of a worker that is alive, and rows in use."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from channels.contract import Receipt
from execution.models import Step
from execution.sending import Answer
from execution.states import StepStatus
from execution.sweep import doubt_orphaned_steps, free_expired_leases
from execution.verdicts import verdict
from tests.factories import EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.execution.conftest import claim_and_write_intents, record_results
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)

AFTER_THE_LEASE = timedelta(minutes=10)


def test_what_was_sent_before_the_worker_was_lost_stays_sent() -> None:
    """Only the step under way is in doubt: one that succeeded would be sent again by a redrive."""
    TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    claim, (mail,) = claim_and_write_intents()
    now = timezone.now()
    answer = Answer(mail, now, receipt=Receipt(provider="smtp", message_id="<id>"))
    record_results(claim, [verdict(answer, now=now, dice=0.5)], now=now, may_go_on=False)
    claim_and_write_intents()
    ended_at = Step.objects.get(node_id="mail").finished_at

    assert free_expired_leases(now=timezone.now() + AFTER_THE_LEASE) == 1

    assert dict(Step.objects.values_list("node_id", "status")) == {"mail": "succeeded", "text": "in_doubt"}
    assert Step.objects.get(node_id="mail").finished_at == ended_at


def test_a_step_is_no_orphan_while_its_trigger_is_held() -> None:
    """However long it takes: its worker renews the lease, and frees it or loses it by that alone."""
    TriggerFactory()
    claim_and_write_intents()
    later = timezone.now() + AFTER_THE_LEASE
    Trigger.objects.update(lease_expires_at=later + timedelta(minutes=1))

    assert (free_expired_leases(now=later), doubt_orphaned_steps(now=later)) == (0, 0)

    assert Step.objects.get().status == StepStatus.RUNNING


def test_a_trigger_that_somebody_is_writing_holds_up_no_other() -> None:
    """A cancel or another sweep has it; the next tick looks again."""
    TriggerFactory.create_batch(2)
    claim_and_write_intents()
    locked = Trigger.objects.order_by("pk")[0]

    def free() -> int:
        try:
            with connection.cursor() as cursor:
                # Who waits for the row gets an error instead of a test that never ends.
                cursor.execute("SET lock_timeout = '2s'")
            return free_expired_leases(now=timezone.now() + AFTER_THE_LEASE)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        Trigger.objects.select_for_update().get(pk=locked.pk)
        assert pool.submit(free).result() == 1

    locked.refresh_from_db()
    assert locked.status == TriggerStatus.PROCESSING
    assert free_expired_leases(now=timezone.now() + AFTER_THE_LEASE) == 1
