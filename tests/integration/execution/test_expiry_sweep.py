"""The sweep ends what has expired and no worker takes: by the same rules, once, bit by bit, however much waits."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from execution import stopping
from execution import sweep as sweep_module
from execution.claims import claim_batch
from execution.models import DeadLetter, Step, SweepTick
from execution.redrive import redrive_trigger
from execution.repairs import told
from execution.runner import advance_lane
from execution.sweep import end_expired, free_expired_leases, sweep
from tests.factories import EMAIL, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents
from tests.integration.execution.test_expiry import WAIT, let_pass, refreshed, steps_of
from tests.integration.execution.test_sweep import at_once, many_triggers
from triggers import bells
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lanes that are rung; no worker hears it."""
    lanes: list[str] = []
    monkeypatch.setattr(bells, "ring", lanes.append)
    return lanes


def expired(**more: Any) -> Trigger:
    """Return a trigger that expired a moment ago and was due before."""
    past = timezone.now() - SECOND
    trigger: Trigger = TriggerFactory(**{"expires_at": past, "available_at": past - SECOND, **more})
    return trigger


def fresh(smtp: FakeSmtp) -> Trigger:
    return expired()


def waits_for_a_retry(smtp: FakeSmtp) -> Trigger:
    smtp.reply("RCPT", "451 4.3.0 try again later")
    trigger: Trigger = TriggerFactory(expires_at=timezone.now() + 300 * SECOND)
    advance_lane("medium")
    let_pass(HOUR)
    return trigger


def waits_for_a_delay(smtp: FakeSmtp) -> Trigger:
    workflow = WorkflowFactory(definition=definition(EMAIL, WAIT))
    trigger: Trigger = TriggerFactory(workflow=workflow, expires_at=timezone.now() + 300 * SECOND)
    advance_lane("medium")
    state = refreshed(trigger).run_state
    past = timezone.now() - SECOND
    state["ready"]["wait"]["at"] = past.isoformat()
    Trigger.objects.update(run_state=state, available_at=past, expires_at=past)
    return trigger


def lost_its_worker(smtp: FakeSmtp) -> Trigger:
    trigger: Trigger = TriggerFactory(expires_at=timezone.now() + 300 * SECOND)
    claim_and_write_intents()
    free_expired_leases(now=timezone.now() + HOUR)
    let_pass(HOUR)
    return trigger


def lost_its_state(smtp: FakeSmtp) -> Trigger:
    return expired(run_state={"ready": 3})


def told_of(trigger: Trigger) -> tuple[Any, ...]:
    """Return everything that an end leaves behind, but for ids and moments."""
    trigger = refreshed(trigger)
    (letter,) = DeadLetter.objects.filter(trigger=trigger)
    of_letter = (letter.node_id, letter.code, letter.failure_class, letter.attempts, letter.destination)
    of_trigger = (trigger.status, trigger.current_node_id, trigger.attempts, trigger.last_step_status, trigger.claim_id)
    code = (trigger.error or {}).get("code")
    return (of_letter, of_trigger, code, steps_of(trigger), bool(trigger.completed_at))


@pytest.mark.parametrize("make", [fresh, waits_for_a_retry, waits_for_a_delay, lost_its_worker, lost_its_state])
def test_it_leaves_behind_what_a_worker_would(make: Callable[[FakeSmtp], Trigger], smtp: FakeSmtp) -> None:
    by_worker = make(smtp)
    assert advance_lane("medium") == 1
    smtp.mails.clear()
    by_sweep = make(smtp)
    smtp.mails.clear()

    sweep(now=timezone.now())

    assert smtp.mails == []
    assert refreshed(by_sweep).status == TriggerStatus.FAILED
    assert told_of(by_sweep) == told_of(by_worker)
    assert not Step.objects.filter(status__in=["running", "waiting"]).exists()


def test_what_is_not_due_before_long_ends_with_its_time_too(smtp: FakeSmtp) -> None:
    """As after a redrive of many, which spreads them over hours."""
    trigger = expired()
    advance_lane("medium")
    redrive_trigger(trigger.pk)
    state, later = refreshed(trigger).run_state, timezone.now() + HOUR
    state["ready"]["mail"]["at"] = later.isoformat()
    Trigger.objects.update(run_state=state, available_at=later)
    begun = timezone.now()

    sweep(now=timezone.now())

    assert refreshed(trigger).status == TriggerStatus.FAILED
    step = Step.objects.latest("pk")
    assert begun <= step.started_at <= timezone.now()
    assert step.finished_at is not None
    assert begun <= step.finished_at <= timezone.now()


def test_the_others_are_left_alone(smtp: FakeSmtp) -> None:
    others = [TriggerFactory(), TriggerFactory(expires_at=timezone.now() + HOUR)]
    held = expired(priority=0)
    claim_batch("critical", limit=1, now=timezone.now())

    assert end_expired(now=timezone.now()) == 0

    assert {refreshed(each).status for each in others} == {TriggerStatus.ENQUEUED}
    assert refreshed(held).status == TriggerStatus.PROCESSING
    assert not SweepTick.objects.exists()


def test_nothing_is_sent_where_the_database_s_clock_is_ahead(smtp: FakeSmtp) -> None:
    trigger = TriggerFactory(expires_at=timezone.now() + HOUR)

    assert end_expired(now=timezone.now() + 2 * HOUR) == 0

    assert (refreshed(trigger).status, smtp.mails) == (TriggerStatus.ENQUEUED, [])


def test_a_tick_ends_so_many_of_all_lanes_and_counts_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweep_module, "MOST_PER_TICK", 2)
    for priority in (0, 1, 2, 3, 3):
        expired(priority=priority)

    assert [end_expired(now=timezone.now()) for _ in range(2)] == [2, 2]
    with caplog.at_level(logging.INFO):
        sweep(now=timezone.now())

    assert "The sweep ended 1 trigger(s) that expired while they waited" in caplog.messages
    assert end_expired(now=timezone.now()) == 0
    tick = SweepTick.objects.get()
    assert tick.expired_triggers == 5
    assert "5 triggers ended that expired while they waited" in told(tick)


def test_two_sweeps_and_a_worker_at_once_end_each_once() -> None:
    for _ in range(60):
        expired()
    now = timezone.now()

    *ended, by_worker = at_once(
        lambda: end_expired(now=now), lambda: end_expired(now=now), lambda: advance_lane("medium")
    )

    assert sum(ended) + by_worker == 60
    assert DeadLetter.objects.count() == Step.objects.count() == 60
    assert SweepTick.objects.filter(expired_triggers=sum(ended)).exists() == (sum(ended) > 0)


def test_a_sweep_that_is_asked_to_stop_gives_them_back_and_ends(rung: list[str]) -> None:
    trigger = expired()
    stopping.ask_to_stop()
    try:
        assert end_expired(now=timezone.now()) == 0
    finally:
        stopping.go_on()

    assert refreshed(trigger).status == TriggerStatus.ENQUEUED
    assert rung == ["medium"]


def test_the_look_reads_an_index_however_many_wait() -> None:
    many_triggers(20_000)
    Trigger.objects.update(expires_at=timezone.now() + HOUR)
    trigger = expired()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE triggers_trigger")

    late = Trigger.objects.late(lane="medium", now=timezone.now())

    assert list(late) == [trigger]
    assert "trigger_late" in late.explain()
