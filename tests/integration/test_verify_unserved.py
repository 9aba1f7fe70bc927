"""`manage.py verify` over triggers that are due: which of them nobody comes for, and which are a backlog."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution.claims import claim_batch
from execution.runner import advance_lane
from execution.sweep import sweep
from execution.verification.findings import Kind
from tests.factories import TriggerFactory, WorkflowFactory
from tests.integration.test_verify_command import kinds, row, run_verify
from triggers.models import Trigger
from workflows.compiled import compiled_version
from workflows.priorities import Priority

pytestmark = pytest.mark.django_db(transaction=True)


def test_grace_says_how_late_is_too_late() -> None:
    long_due(timedelta(minutes=1))
    assert kinds() == set()
    assert kinds("--overdue", "30") == {Kind.UNSERVED}

    claim_batch("medium", limit=9, now=timezone.now())
    Trigger.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=20))
    assert kinds() == set()
    assert kinds("--lease-grace", "5") == {Kind.LEASE_OVERDUE}


def long_due(since: timedelta = timedelta(seconds=150), count: int = 1, **fields: Any) -> list[Trigger]:
    """Store triggers that have been due, and untouched, for so long."""
    then = timezone.now() - since
    return [TriggerFactory(available_at=then, updated_at=then, **fields) for _ in range(count)]


def test_triggers_that_nobody_comes_for_are_found_before_anybody_asks(settings: Any) -> None:
    """By default after a lease and half a minute, which is what recovery from a lost worker takes."""
    lost = long_due(count=3)

    findings, _ = run_verify()

    assert [finding["trigger"] for finding in findings] == [str(trigger.pk) for trigger in lost]
    assert "for 90 s." in findings[0]["sentence"]
    settings.LEASE_SECONDS = 300
    assert kinds() == set()


def test_a_backlog_that_a_worker_holds_a_part_of_is_none_of_its_business() -> None:
    """Also when the sends of the first batch last so long that no step was begun since."""
    held_since = timezone.now() - timedelta(minutes=10)
    long_due(timedelta(hours=1), count=4)
    claim = claim_batch("medium", limit=1, now=timezone.now())
    row(Trigger.objects.get(claim_id=claim.id)).update(updated_at=held_since)
    assert kinds() == set()

    # Held still, and not renewed for longer than the limit: whoever held it is gone.
    assert kinds("--overdue", "0.001") == {Kind.UNSERVED}
    row(Trigger.objects.get(claim_id=claim.id)).update(lease_expires_at=timezone.now() - timedelta(seconds=31))
    assert kinds("--lease-grace", "600") == {Kind.UNSERVED}


def test_a_backlog_of_a_lane_that_was_served_lately_is_being_worked_off(settings: Any) -> None:
    """Between two batches nobody holds anything, and the steps of the last one tell."""
    settings.CLAIM_LIMIT = 2
    long_due(timedelta(hours=1), count=4)
    advance_lane("medium")
    assert Trigger.objects.under_way().count() == 2
    assert not Trigger.objects.filter(status="processing").exists()

    assert kinds() == set()

    Trigger.objects.under_way().update(priority=Priority.HIGH)
    assert kinds() == {Kind.UNSERVED}


def test_what_the_sweep_ends_by_itself_shows_no_worker() -> None:
    now = timezone.now()
    TriggerFactory(available_at=now + timedelta(hours=1), expires_at=now - timedelta(seconds=1))
    lost = long_due()
    sweep(now=now)

    assert [finding["trigger"] for finding in run_verify()[0]] == [str(trigger.pk) for trigger in lost]


def test_what_was_freed_lately_waits_since_then() -> None:
    long_due(timedelta(hours=1))
    claim_batch("medium", limit=1, now=timezone.now())
    Trigger.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=5))
    sweep(now=timezone.now())
    assert Trigger.objects.get().status == "enqueued"

    assert kinds() == set()


def test_however_many_are_due_a_lane_is_looked_at_once_a_batch() -> None:
    workflow = WorkflowFactory()
    compiled_version(workflow.versions.get().pk)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            run_verify()
        return len(captured)

    long_due(workflow=workflow)
    alone = queries()
    long_due(workflow=workflow, count=9)
    assert queries() == alone
