"""`POST triggers/{id}/process/`: what a machine gets for asking, and for asking at the wrong moment."""

from datetime import timedelta
from threading import Semaphore
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import AuditEntry
from accounts.roles import Role
from execution.claims import claim_batch
from execution.models import Step
from execution.sweep import sweep
from tests.factories import EMAIL, SMS, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.integration.api.answers import call, details_of, errors_of, signed_in
from triggers.models import Trigger

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker() -> Client:
    """Return a client of a machine that may process."""
    return signed_in(UserFactory(role=Role.WORKER_SERVICE))


def process(client: Client, trigger: Trigger) -> Any:
    return call(client, "POST", f"triggers/{trigger.pk}/process/")


def test_the_answer_is_the_trigger_as_it_stands_then(worker: Client, admin: Client) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))

    answer = process(worker, trigger)

    assert answer.status_code == 200
    shown = answer.json()
    assert shown == call(admin, "GET", f"triggers/{trigger.pk}/").json()
    assert (shown["status"], shown["current_node_id"], shown["last_step_status"]) == ("enqueued", "text", "succeeded")
    assert (process(worker, trigger).json()["status"], Step.objects.count()) == ("completed", 2)


def test_no_more_threads_are_held_than_there_are_places(worker: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that takes its time must not keep a web process from answering others."""
    places = Semaphore(1)
    monkeypatch.setattr("execution.process._places", places)
    trigger = TriggerFactory()

    with places:
        busy = process(worker, trigger)

    assert (busy.status_code, errors_of(busy), busy.headers["Retry-After"]) == (503, [(None, "busy")], "1")
    assert (Step.objects.count(), AuditEntry.objects.count()) == (0, 0)
    assert process(worker, trigger).status_code == 200
    assert process(worker, trigger).status_code == 409
    assert process(worker, TriggerFactory()).status_code == 200


def test_a_node_that_fails_for_good_is_an_answer_too(worker: Client) -> None:
    answer = process(worker, TriggerFactory(recipient={"email": "nobody"}))

    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["error"]["code"] == "invalid_address"


def test_a_trigger_that_can_not_be_understood_fails_and_is_an_answer_too(worker: Client) -> None:
    answer = process(worker, TriggerFactory(run_state={"nonsense": 1}))

    assert (answer.status_code, answer.json()["error"]["code"]) == (200, "invalid_state")


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
def test_a_finished_trigger_is_refused(worker: Client, status: str) -> None:
    answer = process(worker, TriggerFactory(status=status, completed_at=timezone.now()))

    assert (answer.status_code, errors_of(answer)) == (409, [(None, "already_finished")])
    assert status in details_of(answer)[0]


def test_a_trigger_that_waits_is_refused_and_says_until_when(worker: Client) -> None:
    until = timezone.now() + timedelta(hours=5)

    answer = process(worker, TriggerFactory(available_at=until))

    assert (answer.status_code, errors_of(answer)) == (409, [(None, "not_due")])
    assert until.isoformat().replace("+00:00", "Z") in details_of(answer)[0]


def test_a_trigger_of_another_worker_is_refused_also_when_its_lease_is_over(worker: Client) -> None:
    trigger = TriggerFactory()
    claim = claim_batch("medium", limit=9, now=timezone.now())

    assert errors_of(process(worker, trigger)) == [(None, "held")]
    Trigger.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    answer = process(worker, trigger)

    assert (answer.status_code, errors_of(answer)) == (409, [(None, "held")])
    trigger.refresh_from_db()
    assert (trigger.claim_id, Step.objects.count()) == (claim.id, 0)
    sweep(now=timezone.now())
    assert process(worker, trigger).json()["status"] == "completed"


def test_an_unknown_trigger_is_404(worker: Client) -> None:
    answer = call(worker, "POST", f"triggers/{uuid7()}/process/")

    assert (answer.status_code, errors_of(answer)) == (404, [(None, "not_found")])
