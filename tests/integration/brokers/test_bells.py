"""Bells over RabbitMQ and Redis: few, and none of them needed."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from kombu import Connection
from pytest_django import Settings
from redis.exceptions import ConnectionError as RedisConnectionError
from rest_framework.test import APIClient

from execution.claims import claim_batch
from execution.runner import advance_lane
from execution.sweep import sweep
from tests.factories import ANN, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.brokers.conftest import bells_in_queue, connected_to, lose_flags
from tests.settings import TEST_REDIS_URL
from triggers import bells
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.priorities import LANES

pytestmark = pytest.mark.django_db(transaction=True)

NOWHERE = "amqp://guest:guest@127.0.0.1:1//"


def post(api: APIClient, workflow: str, key: str = "k", **more: Any) -> Any:
    return api.post(
        "/api/v1/triggers/", {"workflow": workflow, "idempotency_key": key, "recipient": ANN, "context": {}, **more}
    )


def wait_for_end(*, seconds: float = 20) -> set[str]:
    until = time.monotonic() + seconds
    while Trigger.objects.under_way().exists() and time.monotonic() < until:
        time.sleep(0.05)
    return set(Trigger.objects.values_list("status", flat=True))


def test_many_triggers_ring_one_bell(broker: str, api: APIClient) -> None:
    workflow = WorkflowFactory()

    for number in range(5):
        assert post(api, workflow.key, f"k{number}").status_code == 202

    assert bells_in_queue("medium") == 1


def test_a_worker_answers_the_bell(worker: None, api: APIClient) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL, SMS))

    for number in range(20):
        post(api, workflow.key, f"k{number}")

    assert wait_for_end() == {TriggerStatus.COMPLETED}


def test_a_short_delay_is_rung_by_countdown(worker: None, api: APIClient) -> None:
    wait = {"id": "wait", "type": "delay", "duration": "PT1S"}
    workflow = WorkflowFactory(definition=definition(wait, EMAIL))

    post(api, workflow.key)

    assert wait_for_end() == {TriggerStatus.COMPLETED}


def test_a_lost_bell_is_rung_again_by_the_sweep(broker: str, api: APIClient) -> None:
    """Invariant 1: losing any broker message, or all of them, loses nothing."""
    post(api, WorkflowFactory().key)
    assert bells_in_queue("medium") == 1  # taken out and never delivered

    sweep(now=timezone.now())
    assert bells_in_queue("medium") == 0  # its flag is still up
    lose_flags()
    sweep(now=timezone.now())

    assert bells_in_queue("medium") == 1


def test_the_sweep_rings_no_lane_in_which_nothing_is_due(broker: str) -> None:
    TriggerFactory(priority=1, available_at=timezone.now() + timedelta(minutes=1))

    sweep(now=timezone.now())

    assert [bells_in_queue(lane) for lane in LANES] == [0] * len(LANES)


def test_a_trigger_that_comes_right_after_the_claim_rings_again(
    broker: str, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invariant 1: the flag is lowered before the claim, so that no trigger falls between the two."""
    workflow = WorkflowFactory()
    post(api, workflow.key, "first")
    assert bells_in_queue("medium") == 1

    def claim_and_then_another_comes(*args: Any, **more: Any) -> Any:
        claim = claim_batch(*args, **more)
        post(api, workflow.key, "second")
        return claim

    monkeypatch.setattr("execution.runner.claim_batch", claim_and_then_another_comes)

    assert advance_lane("medium") == 1
    assert bells_in_queue("medium") == 1


def test_a_full_batch_calls_another_worker_before_it_works(broker: str, settings: Settings) -> None:
    settings.CLAIM_LIMIT = 2
    TriggerFactory.create_batch(3)

    advance_lane("medium")
    assert bells_in_queue("medium") == 1
    advance_lane("medium")
    assert bells_in_queue("medium") == 0


def test_a_redriven_trigger_rings(broker: str, api: APIClient) -> None:
    trigger = TriggerFactory(recipient={"email": "nobody"})
    advance_lane("medium")

    assert api.post(f"/api/v1/triggers/{trigger.pk}/redrive/").status_code == 200

    assert bells_in_queue("medium") == 1


def test_two_beats_ring_once(broker: str) -> None:
    TriggerFactory()

    sweep(now=timezone.now())
    sweep(now=timezone.now())

    assert bells_in_queue("medium") == 1


def test_a_broker_that_is_away_is_no_error_for_the_caller(broker: str, api: APIClient) -> None:
    """Invariant 1: what was answered with a 2xx stands, whatever the broker does."""
    with connected_to(NOWHERE, {}):
        assert post(api, WorkflowFactory().key).status_code == 202
    lose_flags()

    sweep(now=timezone.now())

    assert bells_in_queue("medium") == 1
    assert Trigger.objects.get().status == TriggerStatus.ENQUEUED


def test_the_publisher_finds_its_way_back_after_the_broker_was_away(broker: str) -> None:
    with connected_to(NOWHERE, {}):
        bells.ring("high")
    lose_flags()

    bells.ring("high")

    assert bells_in_queue("high") == 1


def test_what_is_due_later_than_a_minute_is_left_to_the_sweep(broker: str) -> None:
    now = timezone.now()

    bells.ring_at("low", now + timedelta(seconds=61), now=now)
    assert bells_in_queue("low") == 0
    for _ in range(3):
        bells.ring_at("low", now + timedelta(seconds=59), now=now)

    assert bells_in_queue("low") == 1


def test_what_goes_wrong_in_ringing_never_undoes_what_was_committed() -> None:
    nothing: Any = None
    bells.ring_on_commit("medium", nothing, now=timezone.now())


def test_a_closed_connection_to_redis_says_what_it_is() -> None:
    """Celery and kombu pass over this error; the one that kombu raised ended the worker or the request."""
    with Connection(f"{TEST_REDIS_URL}/0") as connection:
        channel: Any = connection.channel()
    for _ in range(2):
        with pytest.raises(RedisConnectionError):
            channel.qos.ack("a-tag")
        channel.connection = None
