"""What happens to a trigger when a worker, a bell or a broker is lost: the sweep brings it back."""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from channels.contract import Receipt
from execution.cancel import cancel_trigger
from execution.claims import claim_batch
from execution.models import DeadLetter, Step, SweepTick
from execution.runner import advance_lane
from execution.runs import load_runs
from execution.sending import Answer
from execution.states import StepStatus
from execution.sweep import sweep
from execution.verdicts import verdict
from execution.work import MOST_DOUBTS, Result, next_work
from tests.factories import DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents, record_results
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)

AFTER_THE_LEASE = timedelta(minutes=10)


def test_what_a_dead_worker_had_claimed_but_not_begun_simply_runs(smtp: FakeSmtp) -> None:
    """Invariant 7: nothing stays stuck longer than lease and sweep."""
    trigger = TriggerFactory()
    claim_batch("medium", limit=9, now=timezone.now())

    sweep(now=timezone.now() + AFTER_THE_LEASE)
    advance_lane("medium")

    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert Counter(Step.objects.values_list("attempt", "status")) == {(1, "succeeded"): 1}


def test_a_step_in_doubt_is_resent_under_the_same_message_id(smtp: FakeSmtp) -> None:
    """Invariant 6: every step ends in an outcome or is found in doubt."""
    trigger = TriggerFactory()
    claim_and_write_intents()

    sweep(now=timezone.now() + AFTER_THE_LEASE)
    advance_lane("medium")

    steps = list(Step.objects.order_by("attempt").values_list("attempt", "status"))
    assert steps == [(1, "in_doubt"), (2, "succeeded")]
    assert [mail.message["Message-ID"] for mail in smtp.mails] == [f"<{trigger.pk}.mail@notifyflow.example>"]
    assert Trigger.objects.get().status == TriggerStatus.COMPLETED


def test_a_step_in_doubt_is_held_when_its_node_says_so_until_a_person_redrives_it(api: APIClient) -> None:
    workflow = WorkflowFactory(definition=definition({**EMAIL, "on_doubt": "hold"}))
    trigger = TriggerFactory(workflow=workflow)
    claim_and_write_intents()

    sweep(now=timezone.now() + AFTER_THE_LEASE)
    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "outcome_unknown")
    assert (trigger.last_step_status, DeadLetter.objects.get().code) == ("in_doubt", "outcome_unknown")
    api.post(f"/api/v1/triggers/{trigger.pk}/redrive/")
    advance_lane("medium")
    trigger.refresh_from_db()
    assert trigger.status == TriggerStatus.COMPLETED
    assert list(Step.objects.order_by("attempt").values_list("status", flat=True)) == ["in_doubt", "succeeded"]


def test_a_step_that_takes_its_worker_down_each_time_ends_in_a_dead_letter() -> None:
    trigger = TriggerFactory()
    for _ in range(MOST_DOUBTS):
        claim_and_write_intents()
        sweep(now=timezone.now() + AFTER_THE_LEASE)

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "outcome_unknown")
    assert Counter(Step.objects.values_list("status", flat=True)) == {"in_doubt": MOST_DOUBTS}


def test_two_sweeps_repair_once() -> None:
    TriggerFactory()
    claim_and_write_intents()
    later = timezone.now() + AFTER_THE_LEASE

    sweep(now=later)
    sweep(now=later)

    assert Counter(Step.objects.values_list("status", flat=True)) == {"in_doubt": 1}
    assert SweepTick.objects.get().ticked_at == later


def test_a_step_left_running_after_a_cancel_is_found_in_doubt() -> None:
    trigger = TriggerFactory()
    claim_and_write_intents()

    cancellation = cancel_trigger(trigger.pk)
    assert [step.node_id for step in cancellation.in_flight] == ["mail"]
    sweep(now=timezone.now())
    assert Step.objects.get().status == StepStatus.RUNNING
    sweep(now=timezone.now() + AFTER_THE_LEASE)

    assert Step.objects.get().status == StepStatus.IN_DOUBT
    assert Trigger.objects.get().status == TriggerStatus.CANCELED


def test_a_send_under_way_at_a_cancel_is_recorded_and_moves_nothing() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    claim, (send,) = claim_and_write_intents()
    cancel_trigger(trigger.pk)
    now = timezone.now()

    answer = Answer(send, now, receipt=Receipt(provider="smtp", message_id="<late>"))
    assert record_results(claim, [verdict(answer, now=now, dice=0.5)], now=now, may_go_on=True) == []

    trigger.refresh_from_db()
    assert (trigger.status, trigger.run_state) == (TriggerStatus.CANCELED, None)
    assert Step.objects.values_list("node_id", "status", "message_id").get() == ("mail", "succeeded", "<late>")


def test_a_delay_that_ends_while_it_is_canceled_stays_skipped() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(DELAY, EMAIL)))
    advance_lane("medium")
    in_two_days = timezone.now() + timedelta(days=2)
    claim = claim_batch("medium", limit=9, now=in_two_days)
    (run,), _ = load_runs(claim.trigger_ids)
    work = next_work(run, now=in_two_days)
    assert isinstance(work, Result)
    cancel_trigger(trigger.pk)

    assert record_results(claim, [work], now=in_two_days, may_go_on=True) == []

    assert Step.objects.values_list("node_id", "status").get() == ("wait", "skipped")
    assert Trigger.objects.get().status == TriggerStatus.CANCELED


def test_a_held_message_without_a_clear_answer_waits_for_a_person(smtp: FakeSmtp, api: APIClient) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition({**EMAIL, "on_doubt": "hold"})))
    smtp.drop("BODY")

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "outcome_unknown")
    assert (Step.objects.get().status, DeadLetter.objects.get().attempts) == (StepStatus.IN_DOUBT, 1)
    api.post(f"/api/v1/triggers/{trigger.pk}/redrive/")
    advance_lane("medium")
    assert Trigger.objects.get().status == TriggerStatus.COMPLETED
    assert DeadLetter.objects.get().redriven_at is not None
    assert len(smtp.mails) == 1


def test_a_version_that_can_not_run_any_more_fails_its_triggers_in_words() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    WorkflowVersion.objects.filter(pk=trigger.version_id).update(definition=definition({"id": "old", "type": "fax"}))

    advance_lane("medium")

    trigger.refresh_from_db()
    assert (trigger.status, trigger.error["code"]) == (TriggerStatus.FAILED, "invalid_definition")
    assert "nodes.0.type" in DeadLetter.objects.get().message
