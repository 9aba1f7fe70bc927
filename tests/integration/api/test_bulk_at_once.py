"""`POST /api/v1/triggers/bulk/` beside others of its kind, and beside whoever deletes the workflow."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from accounts.models import AuditEntry
from accounts.roles import Role
from tests.e2e.processes import wait_until
from tests.factories import TriggerFactory, UserFactory, WorkflowFactory
from tests.integration.api.answers import errors_of, signed_in
from tests.integration.api.test_bulk import item, post
from triggers.models import Trigger
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_same_requests_at_once_make_each_trigger_once() -> None:
    """Invariant 2."""
    WorkflowFactory(key="known")
    user = UserFactory(role=Role.TRIGGER_OPERATOR)
    barrier = Barrier(8)

    def ask(number: int) -> Any:
        try:
            keys = [f"k{key}" for key in range(300)]
            barrier.wait(20)
            return post(signed_in(user), *(item(key) for key in keys[number * 37 :] + keys[: number * 37]))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert [answer.status_code for answer in answers] == [202] * 8
    assert sum(answer.json()["created"] for answer in answers) == Trigger.objects.count() == 300
    told = [{each["idempotency_key"]: each["id"] for each in answer.json()["triggers"]} for answer in answers]
    assert all(each == told[0] for each in told)
    assert AuditEntry.objects.count() == 300


def test_two_requests_with_the_same_keys_never_wait_for_each_other_crosswise() -> None:
    """In the order asked for, the first would have `z` and the second `b` when `m` lets the first go on to `b`."""
    workflow = WorkflowFactory(key="known")
    user = UserFactory(role=Role.TRIGGER_OPERATOR)

    def ask(*keys: str) -> Any:
        try:
            return post(signed_in(user), *map(item, keys))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            TriggerFactory(workflow=workflow, idempotency_key="m")
            first = pool.submit(ask, "z", "m", "b")
            wait_until(lambda: waiting() == 1, seconds=20, what="the first waits for m")
            second = pool.submit(ask, "b", "z")
            wait_until(lambda: waiting() == 2, seconds=20, what="the second waits for the first")
            transaction.set_rollback(True)
        answers = [first.result(), second.result()]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert Trigger.objects.count() == 3


def test_a_deletion_under_way_is_waited_for_and_seen() -> None:
    """Else triggers would be made of a workflow that was deleted because it had none."""
    workflow = WorkflowFactory(key="known")
    user = UserFactory(role=Role.TRIGGER_OPERATOR)
    is_locked = Barrier(2)

    def delete() -> None:
        try:
            with transaction.atomic():
                held = Workflow.objects.select_for_update().get(pk=workflow.pk)
                is_locked.wait(20)
                wait_until(lambda: waiting() > 0, seconds=20, what="the bulk waits for the lock")
                held.is_active, held.deleted_at = False, timezone.now()
                held.save()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        deletion = pool.submit(delete)
        is_locked.wait(20)
        answer = post(signed_in(user), item("a"))
        deletion.result()

    assert (answer.status_code, errors_of(answer)) == (404, [(None, "unknown_workflow")])
    assert Trigger.objects.count() == 0


def waiting() -> int:
    """Count the statements in this database that wait for a lock."""
    with connection.cursor() as cursor:
        # A transaction goes on seeing what it has seen once.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])
