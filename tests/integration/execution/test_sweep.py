"""The sweep: each repair, what it counts, two at once, and how little one tick costs however much is due."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from execution import sweep as sweep_module
from execution.cancel import cancel_trigger
from execution.claims import claim_batch
from execution.clock import database_now
from execution.console import _sweep_figure
from execution.models import Step, SweepTick
from execution.repairs import count_repairs, told
from execution.runner import advance_lane
from execution.states import StepStatus
from execution.sweep import MOST_PER_TICK, doubt_orphaned_steps, free_expired_leases, sweep
from execution.tasks import sweep as sweep_task
from tests.factories import TriggerFactory, WorkflowFactory
from tests.integration.execution.conftest import claim_and_write_intents
from triggers import bells
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)

AFTER_THE_LEASE = timedelta(minutes=10)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lanes that are rung from now on; the bells themselves have tests on real brokers."""
    lanes: list[str] = []
    monkeypatch.setattr(bells, "ring", lanes.append)
    return lanes


def many_triggers(count: int, *, status: str = "enqueued", available_at: datetime | None = None) -> None:
    """Store triggers, made by the database itself."""
    model = TriggerFactory(available_at=available_at or timezone.now(), idempotency_key="model")
    columns = [str(field.column) for field in Trigger._meta.concrete_fields]
    changes = {"id": "gen_random_uuid()", "idempotency_key": "'many-' || n", "status": f"'{status}'"}
    if status == TriggerStatus.PROCESSING:
        changes |= {"claim_id": "gen_random_uuid()", "lease_expires_at": "now() - interval '1 hour'"}
    values = ", ".join(changes.get(column, f"t.{column}") for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO triggers_trigger ({', '.join(columns)}) SELECT {values} FROM triggers_trigger t,"
            " generate_series(1, %s) n WHERE t.id = %s",
            [count, model.pk],
        )
        model.delete()
        cursor.execute("ANALYZE triggers_trigger")


def totals() -> tuple[int, int]:
    tick = SweepTick.objects.get()
    return tick.freed_triggers, tick.doubted_steps


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do these at the same moment, each in a thread of its own, and return what they return."""
    start = Barrier(len(acts))

    def begin(act: Callable[[], Any]) -> Any:
        try:
            start.wait()
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(begin, acts))


# --- the repairs ---


def test_what_is_due_without_a_bell_is_rung_for(rung: list[str]) -> None:
    TriggerFactory()
    TriggerFactory(priority=0)
    TriggerFactory(priority=3, available_at=timezone.now() + timedelta(hours=1))

    sweep(now=timezone.now())

    assert rung == ["critical", "medium"]
    assert SweepTick.objects.get().rung_lanes == 2
    later = timezone.now() + timedelta(hours=2)
    sweep(now=later)
    assert SweepTick.objects.get().ticked_at == later
    assert (rung[2:], SweepTick.objects.get().rung_lanes) == (["critical", "medium", "low"], 5)


def test_an_expired_lease_is_freed_and_counted_with_the_steps_in_doubt() -> None:
    """The repair and its count stand or fall together."""
    TriggerFactory()
    claim_and_write_intents()
    TriggerFactory()
    claim_batch("medium", limit=9, now=timezone.now())
    now = timezone.now() + AFTER_THE_LEASE

    assert free_expired_leases(now=now) == 2

    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.ENQUEUED}
    assert (totals(), SweepTick.objects.get().last_repair_at) == ((2, 1), now)


def test_a_repair_that_is_rolled_back_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    TriggerFactory()
    claim_and_write_intents()

    def fail(**more: Any) -> None:
        count_repairs(**more)
        raise ZeroDivisionError

    monkeypatch.setattr(sweep_module, "count_repairs", fail)
    with pytest.raises(ZeroDivisionError):
        free_expired_leases(now=timezone.now() + AFTER_THE_LEASE)

    assert Trigger.objects.get().status == TriggerStatus.PROCESSING
    assert not SweepTick.objects.exists()


def test_an_orphaned_step_is_found_in_doubt_and_counted() -> None:
    trigger = TriggerFactory()
    claim_and_write_intents()
    cancel_trigger(trigger.pk)

    assert doubt_orphaned_steps(now=timezone.now()) == 0
    assert doubt_orphaned_steps(now=timezone.now() + AFTER_THE_LEASE) == 1

    assert Step.objects.get().status == StepStatus.IN_DOUBT
    assert totals() == (0, 1)


def test_a_sweep_with_nothing_to_repair_counts_nothing_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sweep(now=timezone.now())

    tick = SweepTick.objects.get()
    assert (totals(), tick.last_repair_at, tick.oldest_due_at, caplog.messages) == ((0, 0), None, None, [])
    assert told(tick) == "Nothing has had to be repaired yet."


def test_what_was_repaired_is_said(caplog: pytest.LogCaptureFixture, rung: list[str]) -> None:
    TriggerFactory()
    claim_and_write_intents()

    with caplog.at_level(logging.WARNING):
        sweep(now=timezone.now() + AFTER_THE_LEASE)

    assert "The sweep freed 1 trigger(s) and found 0 orphaned step(s) in doubt" in caplog.messages[0]
    assert told(SweepTick.objects.get()).startswith(
        "Repaired so far: 1 triggers freed from workers that were lost, 1 steps found in doubt, 0 triggers ended"
    )


def test_totals_are_kept_from_sweep_to_sweep() -> None:
    for done in (1, 2, 3):
        TriggerFactory()
        claim_and_write_intents()
        sweep(now=timezone.now() + AFTER_THE_LEASE)
        Trigger.objects.all().update(status="canceled", completed_at=timezone.now())
        assert totals() == (done, done)


def test_the_beat_s_task_sweeps_by_the_database_s_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of the beat's worker is an hour ahead, and frees nothing that is held."""
    trigger = TriggerFactory()
    claim_batch("medium", limit=9, now=timezone.now())
    monkeypatch.setattr(timezone, "now", lambda real=timezone.now: real() + timedelta(hours=1))

    sweep_task()

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.PROCESSING


# --- what waits too long ---


def test_what_nobody_takes_is_said_once_a_minute(caplog: pytest.LogCaptureFixture, rung: list[str]) -> None:
    now = timezone.now()
    TriggerFactory(available_at=now - timedelta(seconds=50))
    TriggerFactory(priority=0)

    with caplog.at_level(logging.WARNING):
        sweep(now=now)
        assert caplog.messages == []
        for seconds in (20, 21, 79):
            sweep(now=now + timedelta(seconds=seconds))
        assert len(caplog.messages) == 1
        sweep(now=now + timedelta(seconds=81))

    assert len(caplog.messages) == 2
    assert "in the lanes medium: are workers running" in caplog.messages[0]
    assert SweepTick.objects.get().oldest_due_at == now - timedelta(seconds=50)


def test_what_is_scheduled_far_ahead_does_not_wait(caplog: pytest.LogCaptureFixture, rung: list[str]) -> None:
    TriggerFactory(available_at=timezone.now() + timedelta(days=300))

    with caplog.at_level(logging.WARNING):
        sweep(now=timezone.now() + timedelta(days=299))

    assert (rung, caplog.messages, SweepTick.objects.get().oldest_due_at) == ([], [], None)


def test_the_overview_shows_what_was_repaired_and_what_waits(rung: list[str]) -> None:
    TriggerFactory()
    claim_and_write_intents()
    free_expired_leases(now=timezone.now() + AFTER_THE_LEASE)
    Trigger.objects.update(available_at=timezone.now() + timedelta(hours=1))
    sweep(now=timezone.now())
    figure = _sweep_figure()
    assert figure["kind"] == "good"
    assert figure["note"].startswith("delays and repairs are on time. Repaired so far: 1 triggers freed")

    Trigger.objects.update(available_at=timezone.now() - timedelta(minutes=7))
    sweep(now=timezone.now())

    figure = _sweep_figure()
    assert (figure["kind"], figure["note"]) == (
        "bad", "something has been due since 7 minutes ago: are workers running?"
    )  # fmt: skip


# --- two at once ---


def test_two_sweeps_at_once_repair_each_thing_once(rung: list[str]) -> None:
    for _ in range(30):
        TriggerFactory()
    claim_and_write_intents()
    now = timezone.now() + AFTER_THE_LEASE

    freed = at_once(*[lambda: free_expired_leases(now=now)] * 3)

    assert sum(freed) == 30
    assert totals() == (30, 30)
    assert set(Step.objects.values_list("attempt", "status")) == {(1, StepStatus.IN_DOUBT)}


def test_two_sweeps_at_once_find_each_orphan_once() -> None:
    triggers = [TriggerFactory() for _ in range(30)]
    claim_and_write_intents()
    for trigger in triggers:
        cancel_trigger(trigger.pk)
    now = timezone.now() + AFTER_THE_LEASE

    doubted = at_once(*[lambda: doubt_orphaned_steps(now=now)] * 3)

    assert (sum(doubted), totals()) == (30, (0, 30))


def test_whole_sweeps_at_once_from_the_first_tick_on(rung: list[str]) -> None:
    for _ in range(10):
        TriggerFactory()
    claim_and_write_intents()
    now = timezone.now() + AFTER_THE_LEASE

    at_once(*[lambda: sweep(now=now)] * 4)

    assert totals() == (10, 10)
    assert SweepTick.objects.get().ticked_at == now
    sweep(now=now)
    assert set(rung) == {"medium"}


def test_a_sweep_beside_a_worker_that_renews_takes_nothing_from_it() -> None:
    TriggerFactory()
    claim_batch("medium", limit=9, now=timezone.now())

    assert at_once(*[lambda: free_expired_leases(now=database_now())] * 2) == [0, 0]


# --- after hours of outage ---


def test_a_tick_costs_the_same_with_fifty_thousand_due(rung: list[str]) -> None:
    """It rings once for the lane; how fast they are sent is for CLAIM_LIMIT and SEND_THREADS of each worker to say."""
    SweepTick.objects.create(ticked_at=timezone.now())
    TriggerFactory(available_at=timezone.now() - timedelta(hours=3))
    with CaptureQueriesContext(
        connection,
    ) as with_one:
        sweep(now=timezone.now())
    many_triggers(50_000, available_at=timezone.now() - timedelta(hours=2))

    with CaptureQueriesContext(connection) as with_many:
        sweep(now=timezone.now())

    assert rung == ["medium", "medium"]
    # Each of the two says once that something waits, or has said so within the minute.
    assert len(with_many) <= len(with_one) + 1
    assert (
        _rows_read(
            "SELECT available_at FROM triggers_trigger WHERE status = 'enqueued' AND priority = 2"
            " AND available_at <= now() ORDER BY available_at, id LIMIT 1"
        )
        == 1
    )


def _rows_read(sql: str) -> int:
    """Return how many rows of the table or its index a query looks at."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        node = cursor.fetchone()[0][0]["Plan"]
    while "Plans" in node:
        (node,) = node["Plans"]
    return int(node["Actual Rows"])


def test_workers_take_what_is_due_after_an_outage_by_batches(settings: Any) -> None:
    settings.CLAIM_LIMIT = 20
    many_triggers(50)

    taken = [advance_lane("medium") for _ in range(4)]

    # On a busy machine sending may seem slow, and a batch takes more of its lane meanwhile.
    assert (taken[0], taken[-1]) == (20, 0)
    assert not Trigger.objects.under_way().exists()


def test_a_tick_frees_so_many_and_the_next_ones_go_on() -> None:
    many_triggers(2 * MOST_PER_TICK + 1, status=TriggerStatus.PROCESSING)
    SweepTick.objects.create(ticked_at=timezone.now())

    with CaptureQueriesContext(connection) as queries:
        freed = [free_expired_leases(now=timezone.now()) for _ in range(4)]

    assert freed == [MOST_PER_TICK, MOST_PER_TICK, 1, 0]
    assert len(queries) < 40
    assert totals() == (2 * MOST_PER_TICK + 1, 0)


def test_a_long_row_of_orphans_is_found_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "MOST_PER_TICK", 2)
    triggers = [TriggerFactory(workflow=WorkflowFactory()) for _ in range(5)]
    claim_and_write_intents()
    for trigger in triggers:
        cancel_trigger(trigger.pk)
    later = timezone.now() + AFTER_THE_LEASE

    assert [doubt_orphaned_steps(now=later) for _ in range(4)] == [2, 2, 1, 0]
    assert AFTER_THE_LEASE.total_seconds() > settings.CELERY_TASK_TIME_LIMIT + settings.LEASE_SECONDS
