"""Claims on PostgreSQL: exclusive, expiring, fenced."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from time import monotonic, sleep

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from channels.contract import Receipt, TransientSendError
from execution.claims import Claim, claim_batch, release, renew_lease
from execution.clock import database_now
from execution.intents import withdraw_intents
from execution.models import Step
from execution.runner import advance_lane
from execution.runs import load_runs
from execution.sending import Answer
from execution.states import StepStatus
from execution.sweep import free_expired_leases
from execution.verdicts import verdict
from execution.work import Result, Send, next_work
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.execution.conftest import claim_and_write_intents, record_results, write_intents
from triggers.models import Trigger
from triggers.states import TriggerStatus

pytestmark = pytest.mark.django_db(transaction=True)


def later() -> timedelta:
    return timedelta(minutes=10)


def test_two_workers_racing_over_a_thousand_triggers_take_each_step_exactly_once() -> None:
    """Invariant 3: at most one live claim per trigger."""
    workflow = WorkflowFactory(definition=definition(EMAIL, SMS))
    Trigger.objects.bulk_create(TriggerFactory.build_batch(1000, workflow=workflow, version=workflow.versions.get()))
    start = Barrier(2)

    def work(_: int) -> int:
        start.wait()
        taken = 0
        try:
            while claimed := advance_lane("medium"):
                taken += claimed
        finally:
            connection.close()
        return taken

    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(work, range(2)))

    assert sum(taken) == 1000
    assert min(taken) > 0
    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.COMPLETED}
    steps = Counter(Step.objects.values_list("node_id", "attempt", "status"))
    assert steps == {("mail", 1, "succeeded"): 1000, ("text", 1, "succeeded"): 1000}


def test_a_claim_takes_the_oldest_first_and_passes_over_what_is_locked() -> None:
    triggers = [TriggerFactory(available_at=timezone.now() - timedelta(seconds=10 - n)) for n in range(4)]
    ids = [trigger.pk for trigger in triggers]

    with transaction.atomic():
        Trigger.objects.select_for_update().get(pk=ids[0])
        with ThreadPoolExecutor(1) as pool:
            claim = pool.submit(_claim_in_thread, 2).result()

    assert (claim, claim_batch("medium", limit=9, now=timezone.now()).trigger_ids) == (
        (ids[1], ids[2]),
        (ids[0], ids[3]),
    )


def _claim_in_thread(limit: int) -> tuple[object, ...]:
    try:
        return claim_batch("medium", limit=limit, now=timezone.now()).trigger_ids
    finally:
        connection.close()


def test_a_claim_takes_nothing_that_is_not_due_or_not_of_its_lane() -> None:
    TriggerFactory(available_at=timezone.now() + timedelta(minutes=1))
    TriggerFactory(priority=0)

    assert claim_batch("medium", limit=9, now=timezone.now()).trigger_ids == ()


def test_a_renewed_lease_is_not_swept_and_an_expired_one_is() -> None:
    TriggerFactory()
    claim = claim_batch("medium", limit=9, now=timezone.now())
    Trigger.objects.update(lease_expires_at=timezone.now() + timedelta(seconds=10))
    assert free_expired_leases(now=timezone.now() + timedelta(seconds=9)) == 0

    renew_lease(claim)
    now = timezone.now()

    assert free_expired_leases(now=now + timedelta(seconds=59)) == 0
    assert free_expired_leases(now=now + timedelta(seconds=61)) == 1


@pytest.mark.parametrize("skew", [timedelta(minutes=-5), timedelta(minutes=5)])
def test_a_lease_goes_by_the_database_s_clock_however_wrong_the_worker_s_is(skew: timedelta) -> None:
    """A worker behind would be swept while it sends; one ahead would keep its triggers long after its death."""
    TriggerFactory(available_at=timezone.now() - timedelta(hours=1))

    claim = claim_batch("medium", limit=9, now=timezone.now() + skew)

    assert len(claim.trigger_ids) == 1
    assert free_expired_leases(now=database_now() + timedelta(seconds=55)) == 0
    assert free_expired_leases(now=database_now() + timedelta(seconds=61)) == 1


def test_a_fenced_worker_moves_nothing_and_leaves_its_evidence() -> None:
    """Invariant 3, second half: a worker whose lease was taken over adds evidence and moves nothing."""
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    claim, (send,) = claim_and_write_intents()
    free_expired_leases(now=timezone.now() + later())
    assert Step.objects.get().status == StepStatus.IN_DOUBT

    answer = Answer(send, timezone.now(), receipt=Receipt(provider="smtp", message_id="<late>"))
    record_results(claim, [verdict(answer, now=timezone.now(), dice=0.5)], now=timezone.now(), may_go_on=True)

    trigger.refresh_from_db()
    assert (trigger.status, trigger.run_state) == (TriggerStatus.ENQUEUED, None)
    step = Step.objects.get()
    assert (step.status, step.message_id) == (StepStatus.SUCCEEDED, "<late>")


def test_a_node_that_is_known_to_have_succeeded_is_not_sent_again() -> None:
    """Invariant 4: also when the evidence came from a worker that could not move the trigger any more."""
    test_a_fenced_worker_moves_nothing_and_leaves_its_evidence()

    advance_lane("medium")

    assert Trigger.objects.get().status == TriggerStatus.COMPLETED
    assert list(Step.objects.order_by("pk").values_list("node_id", "attempt", "status", "message_id"))[:1] == [
        ("mail", 1, "succeeded", "<late>")
    ]
    assert Counter(Step.objects.values_list("node_id", flat=True)) == {"mail": 1, "text": 1}


def test_late_evidence_of_a_node_that_was_sent_again_stays_in_doubt_and_says_so() -> None:
    TriggerFactory()
    claim, (send,) = claim_and_write_intents()
    free_expired_leases(now=timezone.now() + later())
    advance_lane("medium")

    answer = Answer(send, timezone.now(), receipt=Receipt(provider="smtp", message_id="<late>"))
    record_results(claim, [verdict(answer, now=timezone.now(), dice=0.5)], now=timezone.now(), may_go_on=True)

    first, second = Step.objects.order_by("attempt")
    assert (first.status, first.output["late_outcome"]["message_id"]) == (StepStatus.IN_DOUBT, "<late>")
    assert second.status == StepStatus.SUCCEEDED


def test_a_worker_whose_claim_another_has_taken_over_changes_nothing_of_it() -> None:
    """Invariant 3: the claim's id is the fence, not the status that both workers see."""
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    lost, (send,) = claim_and_write_intents()
    much_later = timezone.now() + later()
    free_expired_leases(now=much_later)
    current = claim_batch("medium", limit=9, now=much_later)
    before = Trigger.objects.filter(pk=trigger.pk).values().get()
    assert before["claim_id"] == current.id

    renew_lease(lost)
    assert release(lost, [trigger.pk], now=much_later) == 0
    assert write_intents(lost, [send]) == []
    answer = Answer(send, timezone.now(), receipt=Receipt(provider="smtp", message_id="<late>"))
    assert record_results(lost, [verdict(answer, now=much_later, dice=0.5)], now=much_later, may_go_on=True) == []

    assert Trigger.objects.filter(pk=trigger.pk).values().get() == before
    assert Step.objects.get().message_id == "<late>"


def test_late_evidence_does_not_take_the_batch_of_the_next_worker_along() -> None:
    """The first worker's success is recorded while the second one's message for the same node is under way."""
    trigger = TriggerFactory()
    lost, (first,) = claim_and_write_intents()
    free_expired_leases(now=timezone.now() + later())
    other = TriggerFactory()
    current, sends = claim_and_write_intents()
    now = timezone.now()

    late = Answer(first, now, receipt=Receipt(provider="smtp", message_id="<late>"))
    record_results(lost, [verdict(late, now=now, dice=0.5)], now=now, may_go_on=True)
    answers = [Answer(send, now, receipt=Receipt(provider="smtp", message_id="<again>")) for send in sends]
    record_results(current, [verdict(answer, now=now, dice=0.5) for answer in answers], now=now, may_go_on=True)

    assert set(Trigger.objects.values_list("status", flat=True)) == {TriggerStatus.COMPLETED}
    known, again = Step.objects.filter(trigger=trigger).order_by("attempt")
    assert (known.status, known.message_id) == (StepStatus.SUCCEEDED, "<late>")
    assert (again.status, again.output["late_outcome"]["message_id"]) == (StepStatus.IN_DOUBT, "<again>")
    assert Step.objects.get(trigger=other).status == StepStatus.SUCCEEDED


def test_late_evidence_and_the_success_of_the_next_worker_are_recorded_one_after_the_other() -> None:
    TriggerFactory()
    lost, (first,) = claim_and_write_intents()
    free_expired_leases(now=timezone.now() + later())
    current, (second,) = claim_and_write_intents()

    def record(claim: Claim, send: Send) -> None:
        now = timezone.now()
        answer = Answer(send, now, receipt=Receipt(provider="smtp", message_id=f"<{send.step.attempt}>"))
        record_results(claim, [verdict(answer, now=now, dice=0.5)], now=now, may_go_on=True)

    def record_in_thread() -> None:
        try:
            record(current, second)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            record(lost, first)
            recording = pool.submit(record_in_thread)
            until = monotonic() + 5
            while not _is_waited_for() and monotonic() < until:
                sleep(0.01)
        recording.result()

    assert Trigger.objects.get().status == TriggerStatus.COMPLETED
    assert list(Step.objects.order_by("attempt").values_list("status", flat=True)) == ["succeeded", "in_doubt"]


def _is_waited_for() -> bool:
    """Say whether somebody waits for a lock that this connection holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return cursor.fetchone() is not None


def test_a_late_doubt_about_a_step_in_doubt_keeps_its_reason() -> None:
    TriggerFactory(workflow=WorkflowFactory(definition=definition({**EMAIL, "on_doubt": "hold"})))
    claim, (send,) = claim_and_write_intents()
    free_expired_leases(now=timezone.now() + later())
    error = TransientSendError(provider="smtp", code="connection_lost", message="No answer.", is_in_doubt=True)
    now = timezone.now()

    record_results(claim, [verdict(Answer(send, now, error=error), now=now, dice=0.5)], now=now, may_go_on=True)

    step = Step.objects.get()
    assert step.error is not None
    assert (step.status, step.error["code"]) == (StepStatus.IN_DOUBT, "connection_lost")
    assert Trigger.objects.get().status == TriggerStatus.ENQUEUED


def test_an_intent_that_is_withdrawn_after_a_later_attempt_stays_and_says_that_nothing_was_sent() -> None:
    """A worker was frozen before it began to send, its lease ran out, and the next one has sent."""
    TriggerFactory()
    claim, (send,) = claim_and_write_intents()
    free_expired_leases(now=timezone.now() + later())
    advance_lane("medium")

    withdraw_intents(claim, [send], now=timezone.now())

    first, second = Step.objects.order_by("attempt")
    assert first.error is not None
    assert (first.attempt, first.status, first.error["code"]) == (1, StepStatus.FAILED, "never_sent")
    assert (second.attempt, second.status) == (2, StepStatus.SUCCEEDED)


def test_a_fenced_worker_writes_no_intent() -> None:
    TriggerFactory()
    now = timezone.now()
    claim = claim_batch("medium", limit=9, now=now)
    free_expired_leases(now=now + later())

    (run,), _ = load_runs(claim.trigger_ids)
    work = next_work(run, now=now)
    assert isinstance(work, Send)
    assert write_intents(claim, [work]) == []
    assert Step.objects.count() == 0


def test_a_delay_of_a_fenced_worker_is_not_stored() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(DELAY, EMAIL)))
    now = timezone.now()
    claim = claim_batch("medium", limit=9, now=now)
    (run,), _ = load_runs(claim.trigger_ids)
    work = next_work(run, now=now)
    assert isinstance(work, Result)
    free_expired_leases(now=now + later())

    assert record_results(claim, [work], now=now, may_go_on=True) == []
    trigger.refresh_from_db()
    assert (Step.objects.count(), trigger.run_state) == (0, None)


def test_released_triggers_are_due_at_once() -> None:
    trigger = TriggerFactory()
    claim = claim_batch("medium", limit=9, now=timezone.now())

    assert release(claim, [trigger.pk], now=timezone.now()) == 1
    assert claim_batch("medium", limit=9, now=timezone.now()).trigger_ids == (trigger.pk,)


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "processing"},
        {"status": "enqueued", "claim_id": "01900000-0000-7000-8000-000000000000"},
        {"status": "completed"},
        {"status": "done"},
        {"completed_at": "2026-03-05T00:00:00Z"},
    ],
)
def test_the_database_refuses_triggers_that_can_not_be(broken: dict[str, str]) -> None:
    trigger = TriggerFactory()

    with pytest.raises(IntegrityError):
        Trigger.objects.filter(pk=trigger.pk).update(**broken)


def test_the_database_refuses_a_second_success_of_a_node() -> None:
    """Invariant 4, held by the database."""
    trigger = TriggerFactory()
    advance_lane("medium")
    step = Step.objects.get(trigger=trigger)
    step.pk, step.attempt, step._state.adding = trigger.pk, 2, True

    with pytest.raises(IntegrityError, match="step_succeeds_once"):
        step.save()
