"""Redrives: one of two at once, many at a rate and in several calls, on the newest version, of deleted workflows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from accounts.audit import Action, Actor, Via
from accounts.models import AuditEntry
from execution import dead_letter_deeds
from execution.carry_over import NodeGone, VersionIncompatible
from execution.dead_letter_deeds import discard_letter, discard_letters, redrive_letter, redrive_letters
from execution.dead_letters import Selection
from execution.models import DeadLetter, Step
from execution.redrive import (
    REFUSALS,
    NotOpen,
    WhichVersion,
    WorkflowDeleted,
    redrive_matching,
    redrive_trigger,
)
from execution.runner import advance_lane
from tests.factories import ANN, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.admin.conftest import failed_trigger
from tests.integration.execution.conftest import claim_and_write_intents
from triggers.models import Trigger
from workflows.models import Workflow, WorkflowVersion
from workflows.services import delete_workflow

pytestmark = pytest.mark.django_db

BEA = Actor(user_id=None, name="bea", via=Via.ADMIN)
NOBODY = {**ANN, "email": "nobody"}


def fail_for_good(workflow: Workflow, **fields: Any) -> DeadLetter:
    """Run a trigger whose address no provider takes, and return its dead letter."""
    trigger = TriggerFactory(workflow=workflow, **{"recipient": dict(NOBODY), **fields})
    advance_lane("medium")
    return DeadLetter.objects.open().get(trigger=trigger)


def publish(workflow: Workflow, *nodes: dict[str, Any], **more: Any) -> None:
    """Make the next version of a workflow."""
    workflow.version += 1
    workflow.save()
    WorkflowVersion.objects.create(workflow=workflow, number=workflow.version, definition=definition(*nodes, **more))


def at_once(*deeds: Callable[[], object]) -> list[object]:
    """Do these things at the same moment, each on its own connection; return what came of each."""
    barrier = Barrier(len(deeds))

    def do(deed: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return deed()
        except REFUSALS as refusal:
            return refusal.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(do, deeds))


# --- at once ---


@pytest.mark.django_db(transaction=True)
def test_of_two_redrives_at_once_one_is_done() -> None:
    trigger = failed_trigger()
    letter = DeadLetter.objects.get()

    results = at_once(*[lambda: redrive_letter(letter.pk)] * 4, lambda: redrive_trigger(trigger.pk))

    assert len([result for result in results if isinstance(result, Trigger)]) == 1
    assert {result for result in results if isinstance(result, str)} <= {"not_open", "not_failed"}
    assert AuditEntry.objects.filter(action=Action.TRIGGER_REDRIVEN).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_redrive_and_a_discard_at_once_one_is_done() -> None:
    for _ in range(5):
        trigger = failed_trigger()
        letter = DeadLetter.objects.open().get()

        results = at_once(
            partial(redrive_letter, letter.pk),
            partial(discard_letter, letter.pk, reason="Wrong."),
        )

        letter.refresh_from_db()
        trigger.refresh_from_db()
        assert results.count("not_open") == 1
        assert (letter.state, trigger.status) in [("redriven", "enqueued"), ("discarded", "failed")]
    assert AuditEntry.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_two_bulk_redrives_at_once_take_up_each_once() -> None:
    workflow = WorkflowFactory(key="hello")
    for _ in range(20):
        failed_trigger(workflow=workflow)

    results = at_once(*[lambda: redrive_letters(Selection(workflow="hello")).count] * 3)

    assert sum(int(str(result)) for result in results) == 20
    assert AuditEntry.objects.filter(action=Action.TRIGGER_REDRIVEN).count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_workflow_is_not_deleted_while_a_trigger_of_it_is_redriven() -> None:
    for _ in range(5):
        trigger = failed_trigger()

        def delete(trigger: Trigger = trigger) -> object:
            try:
                return delete_workflow(trigger.workflow_id)
            except Exception as error:  # noqa: BLE001
                return type(error).__name__

        results = at_once(partial(redrive_trigger, trigger.pk), delete)

        trigger.refresh_from_db()
        is_deleted = Workflow.objects.get(pk=trigger.workflow_id).deleted_at is not None
        assert (trigger.status, is_deleted) in [("enqueued", False), ("failed", True)]
        assert len([result for result in results if result in ("workflow_deleted", "ActiveTriggersExist")]) == 1


# --- many ---


def test_many_are_spread_and_the_next_call_queues_up_behind() -> None:
    workflow = WorkflowFactory(key="hello")
    triggers = [failed_trigger(workflow=workflow) for _ in range(5)]
    begun = timezone.now()

    first = redrive_letters(Selection(workflow="hello"), per_second=1, limit=3)
    second = redrive_letters(Selection(workflow="hello"), per_second=1, after_id=first.last_id)

    due = [Trigger.objects.get(pk=trigger.pk).available_at for trigger in triggers]
    assert [later - earlier for earlier, later in pairwise(due)] == [timedelta(seconds=1)] * 4
    assert begun <= due[0] <= timezone.now()
    assert (first.count, first.remaining, first.spread_until) == (3, 2, due[2])
    assert (second.count, second.remaining, second.spread_until) == (2, 0, due[4])
    assert Trigger.objects.due(lane="medium", now=due[1]).count() == 2


def test_the_next_call_keeps_its_distance_from_one_that_has_just_gone_on() -> None:
    workflow = WorkflowFactory(key="hello")
    triggers = [failed_trigger(workflow=workflow) for _ in range(2)]
    first = redrive_letters(Selection(workflow="hello"), per_second=1, limit=1)
    gone_on = timezone.now() - timedelta(seconds=0.3)
    DeadLetter.objects.filter(trigger=triggers[0]).update(goes_on_at=gone_on)

    redrive_letters(Selection(workflow="hello"), per_second=1, after_id=first.last_id)

    assert Trigger.objects.get(pk=triggers[1].pk).available_at >= gone_on + timedelta(seconds=1)


def test_a_branch_beside_the_failed_node_waits_for_its_slot_too() -> None:
    nodes = [EMAIL, {**SMS, "id": "x"}, {**SMS, "id": "y"}]
    workflow = WorkflowFactory(key="hello", definition=definition(*nodes, edges=[("mail", "x"), ("mail", "y")]))
    for _ in range(2):
        earlier = (timezone.now() - timedelta(hours=1)).isoformat()
        state = {
            "ended": {"mail": "succeeded", "x": "failed"},
            "edges": {"mail>x": True, "mail>y": True},
            "ready": {"y": {"at": earlier}},
        }
        failed_trigger(workflow=workflow, run_state=state)

    begun = timezone.now()

    redrive_letters(Selection(workflow="hello"), per_second=1)

    first, second = Trigger.objects.order_by("pk").values_list("available_at", flat=True)
    assert first < begun
    assert second >= begun + timedelta(seconds=1)


def test_what_was_interrupted_goes_on_and_does_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = WorkflowFactory(key="hello")
    triggers = [failed_trigger(workflow=workflow) for _ in range(6)]
    done: list[Any] = []

    def redrive_until_the_process_ends(trigger_id: Any, **more: Any) -> Trigger:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(trigger_id)
        return redrive_trigger(trigger_id, **more)

    monkeypatch.setattr(dead_letter_deeds, "redrive_trigger", redrive_until_the_process_ends)
    with pytest.raises(KeyboardInterrupt):
        redrive_letters(Selection(workflow="hello"), by=BEA)
    monkeypatch.setattr(dead_letter_deeds, "redrive_trigger", redrive_trigger)

    rest = redrive_letters(Selection(workflow="hello"), by=BEA)

    assert (rest.count, rest.remaining) == (3, 0)
    redriven = AuditEntry.objects.filter(action=Action.TRIGGER_REDRIVEN).order_by("pk")
    assert [entry.object_id for entry in redriven] == [trigger.pk for trigger in triggers]


def test_a_trigger_that_fails_again_meanwhile_is_not_taken_up_twice(smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory(key="hello")
    letters = [fail_for_good(workflow) for _ in range(3)]

    first = redrive_letters(Selection(workflow="hello"), limit=2, per_second=1000)
    Trigger.objects.filter(status="enqueued").update(available_at=timezone.now())
    advance_lane("medium")
    assert DeadLetter.objects.open().count() == 3
    second = redrive_letters(Selection(workflow="hello"), limit=2, after_id=first.last_id)

    assert (first.count, first.remaining) == (2, 1)
    assert (second.count, second.remaining, second.last_id) == (1, 0, letters[2].trigger_id)


def test_the_oldest_trigger_comes_first_also_when_it_failed_last(smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory(key="hello")
    older, newer = fail_for_good(workflow), fail_for_good(workflow)
    redrive_letter(older.pk)
    advance_lane("medium")

    first = redrive_letters(Selection(workflow="hello"), limit=1)
    second = redrive_letters(Selection(workflow="hello"), limit=1, after_id=first.last_id)

    assert (first.last_id, first.remaining) == (older.trigger_id, 1)
    assert (second.count, second.last_id, second.remaining) == (1, newer.trigger_id, 0)


def test_a_redrive_by_filter_leaves_discarded_ones_and_deleted_workflows_alone() -> None:
    discarded, gone, failed = failed_trigger(), failed_trigger(), failed_trigger()
    discard_letter(discarded.dead_letters.get().pk, reason="Wrong.", by=BEA)
    delete_workflow(gone.workflow_id)
    wanted = [trigger.pk for trigger in (discarded, gone, failed)]

    by_trigger = redrive_matching(Trigger.objects.filter(pk__in=wanted))

    assert (by_trigger.count, by_trigger.remaining) == (1, 0)
    assert list(Trigger.objects.filter(status="enqueued")) == [failed]
    assert redrive_letters(Selection(code="invalid_address")).count == 0
    assert discard_letters(Selection(code="invalid_address"), reason="Gone.", by=BEA).count == 1


def test_a_discarded_one_that_is_redriven_by_its_id_and_fails_again_counts_again() -> None:
    workflow = WorkflowFactory(key="hello")
    letter = fail_for_good(workflow)
    discard_letter(letter.pk, reason="Wrong.", by=BEA)

    redrive_trigger(letter.trigger_id)
    advance_lane("medium")

    letter.refresh_from_db()
    assert (letter.state, letter.discarded_by, letter.discard_reason) == ("discarded", "bea", "Wrong.")
    assert redrive_matching(Trigger.objects.all()).count == 1


@pytest.mark.parametrize("by_letter", [True, False])
def test_a_trigger_of_a_deleted_workflow_is_not_redriven(by_letter: bool) -> None:
    trigger = failed_trigger()
    delete_workflow(trigger.workflow_id)
    before = AuditEntry.objects.count()

    with pytest.raises(WorkflowDeleted):
        redrive_letter(trigger.dead_letters.get().pk) if by_letter else redrive_trigger(trigger.pk)

    trigger.refresh_from_db()
    assert (trigger.status, DeadLetter.objects.open().count(), AuditEntry.objects.count()) == ("failed", 1, before)


# --- on the newest version ---


def test_a_redrive_stays_on_the_version_unless_somebody_says_otherwise(smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))
    letter = fail_for_good(workflow)
    publish(workflow, {**EMAIL, "to": "help@example.org"})

    redrive_letter(letter.pk, by=BEA)
    advance_lane("medium")

    trigger = Trigger.objects.get()
    assert (trigger.status, trigger.version.number, smtp.mails) == ("failed", 1, [])
    assert AuditEntry.objects.get().changes == {"status": ["failed", "enqueued"]}


def test_a_redrive_on_the_newest_version_goes_on_there_and_is_noted(smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory(definition=definition({**EMAIL, "id": "first", "to": "ann@example.org"}, EMAIL))
    letter = fail_for_good(workflow)
    assert (letter.node_id, [mail.recipients for mail in smtp.mails]) == ("mail", [("ann@example.org",)])
    mended = {**EMAIL, "to": "help@example.org"}
    publish(workflow, {**EMAIL, "id": "first", "to": "ann@example.org"}, mended, {**mended, "id": "more"})

    redrive_letter(letter.pk, version=WhichVersion.NEWEST, by=BEA)
    advance_lane("medium")

    trigger = Trigger.objects.get()
    assert (trigger.status, trigger.version.number) == ("completed", 2)
    assert [mail.recipients[0] for mail in smtp.mails] == ["ann@example.org", "help@example.org", "help@example.org"]
    assert Step.objects.filter(node_id="first").count() == 1
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.changes) == ("bea", {"status": ["failed", "enqueued"], "version": [1, 2]})


def test_a_version_that_can_not_be_run_any_more_is_left_for_the_newest(smtp: FakeSmtp) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))
    WorkflowVersion.objects.filter(workflow=workflow).update(definition=definition(EMAIL, {"id": "fax", "type": "fax"}))
    letter = fail_for_good(workflow, recipient=dict(ANN))
    assert (letter.failure_class, letter.destination) == ("unrunnable", "")
    publish(workflow, EMAIL)

    redrive_letter(letter.pk, version=WhichVersion.NEWEST)
    advance_lane("medium")

    assert (Trigger.objects.get().status, len(smtp.mails)) == ("completed", 1)


@pytest.mark.parametrize(
    ("nodes", "refusal", "node_id"),
    [
        ([{**EMAIL, "id": "letter"}], NodeGone, "mail"),
        ([SMS, EMAIL], VersionIncompatible, "mail"),
        ([{**SMS, "id": "mail"}], VersionIncompatible, "mail"),
        ([{"id": "mail", "type": "fax"}], VersionIncompatible, "mail"),
    ],
)
def test_what_can_not_go_on_there_stays_where_it_is(
    nodes: list[dict[str, Any]], refusal: type[Exception], node_id: str
) -> None:
    workflow = WorkflowFactory(definition=definition(EMAIL))
    letter = fail_for_good(workflow)
    publish(workflow, *nodes)

    with pytest.raises(refusal) as refused:
        redrive_letter(letter.pk, version=WhichVersion.NEWEST)

    trigger = Trigger.objects.get()
    assert getattr(refused.value, "node_id", None) == node_id
    assert (trigger.status, trigger.version.number, AuditEntry.objects.count()) == ("failed", 1, 0)
    assert DeadLetter.objects.open().exists()


def test_many_on_the_newest_version_tell_which_were_refused() -> None:
    workflow = WorkflowFactory(key="hello", definition=definition(EMAIL))
    fail_for_good(workflow)
    publish(workflow, {**EMAIL, "id": "other"})
    failed_trigger(workflow=workflow, version=workflow.versions.get(number=2), run_state=None)

    done = redrive_letters(Selection(workflow="hello"), version=WhichVersion.NEWEST)

    assert (done.count, done.refused, done.remaining) == (1, {"node_gone": 1}, 0)


@pytest.mark.parametrize("version", list(WhichVersion))
def test_a_state_that_can_not_be_read_is_no_accident(version: WhichVersion) -> None:
    workflow = WorkflowFactory()
    trigger = failed_trigger(workflow=workflow, run_state={"nonsense": 1})
    publish(workflow, EMAIL)
    letter = trigger.dead_letters.get()

    if version is WhichVersion.NEWEST:
        with pytest.raises(VersionIncompatible):
            redrive_letter(letter.pk, version=version)
        return
    redrive_letter(letter.pk, version=version)
    advance_lane("medium")
    assert DeadLetter.objects.open().get().code == "invalid_state"


# --- what a dead letter says ---


def test_a_letter_tells_whom_it_was_for_only_masked(smtp: FakeSmtp) -> None:
    smtp.reply("RCPT", "550 5.1.1 <ann@example.org>: no such user")
    letter = fail_for_good(WorkflowFactory(), recipient=dict(ANN))

    assert (letter.destination, letter.failure_class, letter.attempts) == ("a***@example.org", "permanent", 1)
    assert "a***@example.org" in letter.message
    stored = str(DeadLetter.objects.values().get())
    assert "ann@example.org" not in stored


def test_a_message_held_in_doubt_is_in_its_own_class() -> None:
    TriggerFactory(workflow=WorkflowFactory(definition=definition({**EMAIL, "on_doubt": "hold"})))
    claim_and_write_intents()
    Step.objects.update(status="in_doubt", finished_at=timezone.now())
    Trigger.objects.update(status="enqueued", claim_id=None, lease_expires_at=None)

    advance_lane("medium")

    letter = DeadLetter.objects.get()
    assert (letter.failure_class, letter.destination) == ("in_doubt", "a***@example.org")


def test_a_discard_is_refused_once_somebody_has_decided() -> None:
    letter = failed_trigger().dead_letters.get()
    discard_letter(letter.pk, reason="Wrong.", by=BEA)

    with pytest.raises(NotOpen, match="discarded"):
        discard_letter(letter.pk, reason="Wrong again.")
    with pytest.raises(NotOpen, match="discarded"):
        redrive_letter(letter.pk)
