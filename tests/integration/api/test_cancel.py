"""Cancel, exactly: what was sent, what is being sent, what never will be; one or many, against everybody else."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from time import monotonic, sleep
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEntry
from channels.contract import Receipt
from execution import cancel as cancel_module
from execution.cancel import AlreadyFinished, cancel_matching, cancel_trigger
from execution.claims import claim_batch, renew_lease
from execution.models import DeadLetter, Step
from execution.redrive import RedriveRefused, redrive_trigger
from execution.runner import advance_lane
from execution.runs import load_runs
from execution.sending import Answer
from execution.states import StepStatus
from execution.verdicts import verdict
from execution.work import Send, next_work
from tests.factories import ANN, DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.execution.conftest import claim_and_write_intents, record_results, write_intents
from tests.integration.rows import changed, every_row
from tests.integration.test_verify_command import kinds
from triggers.models import Trigger
from triggers.states import TriggerStatus
from workflows.models import Workflow

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/v1/triggers/"
LAST = {**EMAIL, "id": "last"}


def codes(answer: Any) -> list[tuple[str | None, str]]:
    return [(error["attr"], error["code"]) for error in answer.json()["errors"]]


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do these at the same moment, each in a thread of its own; return what they return, or the refusal they raise."""
    start = Barrier(len(acts))

    def begin(act: Callable[[], Any]) -> Any:
        try:
            start.wait()
            return act()
        except (AlreadyFinished, RedriveRefused) as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(begin, acts))


def answered(send: Send) -> Any:
    """Return what comes of a send that the provider took."""
    answer = Answer(send, timezone.now(), receipt=Receipt(provider="smtp", message_id="<late>"))
    return verdict(answer, now=timezone.now(), dice=0.5)


# --- what is told ---


def test_it_says_what_was_sent_and_what_never_will_be(api: APIClient) -> None:
    dag = definition(EMAIL, SMS, DELAY, LAST, edges=[("mail", "text", "false"), ("mail", "wait"), ("wait", "last")])
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=dag))
    advance_lane("medium")

    answer = api.post(f"{URL}{trigger.pk}/cancel/").json()

    assert [step["node_id"] for step in answer["sent"]] == ["mail"]
    # The text's branch was dead before; a delay sends nothing.
    assert (answer["in_flight"], answer["never"]) == ([], ["last"])
    assert kinds() == set()


def test_before_anything_was_sent_all_of_it_never_will_be(api: APIClient) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, DELAY, SMS)))

    answer = api.post(f"{URL}{trigger.pk}/cancel/").json()

    assert (answer["sent"], answer["in_flight"], answer["never"]) == ([], [], ["mail", "text"])


def test_what_is_being_sent_is_neither_sent_nor_never(api: APIClient) -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    claim_and_write_intents()

    answer = api.post(f"{URL}{trigger.pk}/cancel/").json()

    assert [(step["node_id"], step["status"]) for step in answer["in_flight"]] == [("mail", "running")]
    assert (answer["sent"], answer["never"]) == ([], ["text"])
    assert kinds() == set()


def test_what_a_lost_worker_was_sending_is_in_doubt_at_once(api: APIClient) -> None:
    trigger = TriggerFactory()
    claim_and_write_intents()
    Trigger.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    answer = api.post(f"{URL}{trigger.pk}/cancel/").json()

    assert [(step["node_id"], step["status"]) for step in answer["in_flight"]] == [("mail", "in_doubt")]
    assert answer["never"] == []
    assert kinds() == set()


def test_a_send_that_ends_after_the_cancel_is_kept_and_says_so() -> None:
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    claim, (send,) = claim_and_write_intents()
    cancel_trigger(trigger.pk)

    assert record_results(claim, [answered(send)], now=timezone.now(), may_go_on=True) == []

    step = Step.objects.get()
    assert (step.status, step.message_id, step.output["after_cancel"]) == ("succeeded", "<late>", True)
    assert Trigger.objects.get().status == TriggerStatus.CANCELED
    assert kinds() == set()


def test_a_send_that_ends_after_its_lease_says_nothing_of_a_cancel() -> None:
    TriggerFactory()
    claim, (send,) = claim_and_write_intents()
    Trigger.objects.update(status="enqueued", claim_id=None, lease_expires_at=None)

    record_results(claim, [answered(send)], now=timezone.now(), may_go_on=True)

    assert "after_cancel" not in Step.objects.get().output


# --- against everybody else ---


def test_a_worker_that_claims_at_the_same_moment_sends_nothing_or_is_told_of() -> None:
    for _ in range(15):
        trigger = TriggerFactory()

        def take() -> tuple[Any, list[Send]]:
            return claim_and_write_intents()

        cancellation, (_, sends) = at_once(partial(cancel_trigger, trigger.pk), take)

        trigger.refresh_from_db()
        assert (trigger.status, trigger.claim_id) == (TriggerStatus.CANCELED, None)
        # What may be sent has its step, and the answer names it.
        assert [send.step.id for send in sends] == [step.pk for step in cancellation.in_flight]
        assert bool(cancellation.never) is (not sends)
        assert advance_lane("medium") == 0
    assert kinds() == set()


def test_a_worker_that_records_at_the_same_moment_moves_it_before_or_not_at_all() -> None:
    ends = Counter[str]()
    for _ in range(15):
        trigger = TriggerFactory()
        claim, (send,) = claim_and_write_intents()

        def record(claim: Any = claim, send: Any = send) -> Any:
            return record_results(claim, [answered(send)], now=timezone.now(), may_go_on=True)

        cancellation, _ = at_once(partial(cancel_trigger, trigger.pk), record)

        trigger.refresh_from_db()
        if isinstance(cancellation, AlreadyFinished):
            assert trigger.status == TriggerStatus.COMPLETED
        else:
            assert trigger.status == TriggerStatus.CANCELED
            assert [step.node_id for step in cancellation.in_flight] == ["mail"]
        assert trigger.steps.get().status == StepStatus.SUCCEEDED
        ends[trigger.status] += 1
    assert ends.total() == 15
    assert kinds() == set()


def test_after_a_cancel_a_worker_that_has_loaded_the_run_can_not_begin_to_send() -> None:
    trigger = TriggerFactory()
    claim = claim_batch("medium", limit=9, now=timezone.now())
    (run,), _ = load_runs(claim.trigger_ids)
    work = next_work(run, now=timezone.now())
    assert isinstance(work, Send)

    assert cancel_trigger(trigger.pk).never == ["mail"]

    renew_lease(claim)
    assert write_intents(claim, [work]) == []
    assert not Step.objects.exists()


def test_a_redrive_at_the_same_moment_comes_first_or_is_too_late_for_nothing() -> None:
    """A failed trigger can't be canceled: either it was redriven before, or the cancel is refused."""
    for _ in range(15):
        trigger = TriggerFactory(recipient={"email": "nobody"})
        advance_lane("medium")

        canceled, redriven = at_once(partial(cancel_trigger, trigger.pk), partial(redrive_trigger, trigger.pk))

        trigger.refresh_from_db()
        assert not isinstance(redriven, Exception)
        refused = isinstance(canceled, AlreadyFinished)
        assert trigger.status == (TriggerStatus.ENQUEUED if refused else TriggerStatus.CANCELED)
        assert not DeadLetter.objects.filter(trigger=trigger, redriven_at=None).exists()
        cancel_matching(Trigger.objects.all())
    assert kinds() == set()


def test_a_canceled_trigger_is_not_redriven() -> None:
    trigger = TriggerFactory()
    cancel_trigger(trigger.pk)

    with pytest.raises(RedriveRefused):
        redrive_trigger(trigger.pk)


# --- many ---


def workflow_of(key: str, count: int) -> Workflow:
    workflow: Workflow = WorkflowFactory(key=key, definition=definition(EMAIL, DELAY, SMS))
    for _ in range(count):
        TriggerFactory(workflow=workflow)
    return workflow


def statuses() -> Counter[tuple[str, str]]:
    return Counter(Trigger.objects.values_list("workflow__key", "status"))


def test_all_of_a_workflow_are_canceled_and_no_other(api: APIClient) -> None:
    workflow_of("mine", 2)
    claim_and_write_intents()
    workflow_of("other", 2)
    completed = TriggerFactory(workflow=WorkflowFactory(key="done"), priority=0)
    advance_lane("critical")
    ids = list(Trigger.objects.filter(workflow__key="mine").order_by("pk").values_list("pk", flat=True))

    answer = api.post(f"{URL}cancel/", {"workflow": "mine"})

    assert (answer.status_code, answer.json()) == (
        200, {"canceled": 2, "in_flight": 2, "remaining": 0, "last_id": str(ids[-1])}
    )  # fmt: skip
    assert statuses() == {("mine", "canceled"): 2, ("other", "enqueued"): 2, ("done", "completed"): 1}
    assert Trigger.objects.get(pk=completed.pk).status == "completed"
    assert set(Trigger.objects.filter(status="canceled").values_list("claim_id", "lease_expires_at")) == {(None, None)}
    entries = AuditEntry.objects.filter(action="trigger.canceled")
    assert {entry.object_id for entry in entries} == set(ids)
    assert len(entries) == 2
    assert entries[0].changes == {
        "status": ["processing", "canceled"], "filter": {"workflow": "mine"}
    }  # fmt: skip
    assert kinds() == set()


def test_a_dry_run_counts_and_changes_nothing(api: APIClient) -> None:
    workflow_of("mine", 3)
    claim_batch("medium", limit=1, now=timezone.now())
    api.get(URL)
    before = every_row()

    answer = api.post(f"{URL}cancel/", {"workflow": "mine", "dry_run": True})

    assert (answer.json()["canceled"], answer.json()["remaining"]) == (3, 0)
    assert changed(before) == set()


def test_it_goes_on_behind_the_last_one(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel_module, "MOST_AT_ONCE", 4)
    monkeypatch.setattr(cancel_module, "TOGETHER", 3)
    workflow_of("mine", 10)
    body: dict[str, Any] = {"workflow": "mine"}
    answers = []
    for _ in range(3):
        answers.append(api.post(f"{URL}cancel/", body).json())
        body["after_id"] = answers[-1]["last_id"]

    assert [(answer["canceled"], answer["remaining"]) for answer in answers] == [(4, 6), (4, 2), (2, 0)]
    assert statuses() == {("mine", "canceled"): 10}
    nothing = api.post(f"{URL}cancel/", body).json()
    assert nothing == {"canceled": 0, "in_flight": 0, "remaining": 0, "last_id": body["after_id"]}


def test_only_those_that_stand_so_or_were_made_then_or_are_named(api: APIClient) -> None:
    workflow_of("mine", 4)
    claim_batch("medium", limit=1, now=timezone.now())
    named = Trigger.objects.filter(status="enqueued").latest("pk")
    old = Trigger.objects.filter(status="enqueued").earliest("pk")
    Trigger.objects.filter(pk=old.pk).update(created_at="2025-01-01T00:00:00Z")

    def canceled(**body: Any) -> int:
        answer = api.post(f"{URL}cancel/", body)
        assert answer.status_code == 200
        return int(answer.json()["canceled"])

    assert canceled(ids=[str(named.pk)]) == 1
    assert canceled(ids=[str(named.pk)]) == 0
    assert canceled(created_before="2025-06-01T00:00:00Z") == 1
    assert canceled(workflow="nothing") == 0
    assert canceled(ids=[]) == 0
    assert canceled(workflow="mine", statuses=["processing"]) == 1
    assert canceled(workflow="mine", created_after="2025-06-01T00:00:00Z", statuses=["enqueued", "processing"]) == 1


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, [("non_field_errors", "required")]),
        ({"dry_run": True, "statuses": ["enqueued"]}, [("non_field_errors", "required")]),
        ({"after_id": "0193e5d2-7a41-7c3e-9f60-2b8d5a1c4e00"}, [("non_field_errors", "required")]),
        ({"workflow": "mine", "colour": "red"}, [("colour", "unknown_field")]),
        ({"workflow": "mine", "statuses": ["completed"]}, [("statuses.0", "invalid_choice")]),
        ({"workflow": "mine", "statuses": []}, [("statuses", "empty")]),
        ({"workflow": "mine", "statuses": ["enqueued"] * 3}, [("statuses", "max_length")]),
        ({"workflow": "mine", "dry_run": "no"}, [("dry_run", "invalid")]),
        ({"workflow": "mine", "dry_run": None}, [("dry_run", "null")]),
        ({"workflow": 17}, [("workflow", "invalid")]),
        ({"workflow": "a\x00b"}, [(None, "parse_error")]),
        ({"ids": ["17"]}, [("ids.0", "invalid")]),
        ({"ids": ["0193e5d2-7a41-7c3e-9f60-2b8d5a1c4e00"] * 1001}, [("ids", "max_length")]),
        ({"workflow": "mine", "after_id": "17"}, [("after_id", "invalid")]),
        ({"created_after": "2025-01-01T00:00:00"}, [("created_after", "no_offset")]),
        ({"created_before": "0001-01-01T00:00:00+14:00"}, [("created_before", "overflow")]),
    ],
)  # fmt: skip
def test_a_filter_that_can_not_be_meant_is_refused(api: APIClient, body: Any, found: Any) -> None:
    workflow_of("mine", 1)

    answer = api.post(f"{URL}cancel/", body)

    assert (answer.status_code, codes(answer)) == (400, found)
    assert statuses() == {("mine", "enqueued"): 1}


@pytest.mark.parametrize("body", [[], "all", 17, None])
def test_a_body_that_is_no_object_is_refused(api: APIClient, body: Any) -> None:
    assert api.post(f"{URL}cancel/", body).status_code == 400


def test_two_calls_at_once_cancel_each_trigger_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel_module, "TOGETHER", 7)
    workflow_of("mine", 60)

    done = at_once(*[lambda: cancel_matching(Trigger.objects.all())] * 3)

    assert sum(each.count for each in done) == 60
    assert AuditEntry.objects.filter(action="trigger.canceled").count() == 60
    assert statuses() == {("mine", "canceled"): 60}


def test_a_call_beside_workers_ends_with_each_trigger_over_and_no_deadlock() -> None:
    workflow_of("mine", 300)

    def work() -> int:
        taken = 0
        while claimed := advance_lane("medium"):
            taken += claimed
        return taken

    at_once(work, work, lambda: cancel_matching(Trigger.objects.all()))

    # What a worker had taken through its mail before the cancel came waits in the delay, or was canceled there.
    assert cancel_matching(Trigger.objects.all()).remaining == 0
    assert statuses() == {("mine", "canceled"): 300}
    assert set(Step.objects.filter(node_id="wait").values_list("status", flat=True)) <= {"skipped"}
    assert not Step.objects.filter(node_id="text").exists()
    assert kinds() == set()


def test_a_trigger_that_is_being_written_is_waited_for_while_nothing_else_is_held() -> None:
    workflow_of("mine", 5)
    busy = Trigger.objects.earliest("pk")

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Trigger.objects.select_for_update().get(pk=busy.pk)
            canceling = pool.submit(at_once, partial(cancel_matching, Trigger.objects.all()))
            until = monotonic() + 10
            while statuses()["mine", "canceled"] < 4 and monotonic() < until:
                sleep(0.01)
            # Who waits for this one has let go of the others: each of them can be locked at once.
            free = Trigger.objects.exclude(pk=busy.pk).select_for_update(nowait=True)
            assert {trigger.status for trigger in free} == {"canceled"}
        (done,) = canceling.result()

    assert done.count == 5
    assert statuses() == {("mine", "canceled"): 5}
    assert ANN["name"] == Trigger.objects.get(pk=busy.pk).recipient["name"]
