"""Rows of triggers that a worker goes on with at once: the steps tell how far they got, and nothing is sent twice."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels.contract import Receipt
from execution import runner
from execution.claims import Claim
from execution.models import DeadLetter, Step
from execution.recording import Advance, advance, record, tell
from execution.runner import advance_lane
from execution.runs import load_runs
from execution.sending import Answer
from execution.sweep import free_expired_leases
from execution.verdicts import verdict
from execution.work import Send, next_work
from tests.factories import EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.execution.conftest import claim_and_write_intents
from triggers.models import Trigger

pytestmark = pytest.mark.django_db(transaction=True)
LATER = timedelta(hours=1)


def passing_the_first_node() -> tuple[Claim, Advance, Send]:
    """Be a worker whose first message was sent and whose second is about to be."""
    claim, (send,) = claim_and_write_intents()
    now = timezone.now()
    result = verdict(Answer(send, now, receipt=Receipt("outbox", "<m>")), now=now, dice=0.5)
    passed = advance(result, now=now, may_go_on=True, may_pass=True)
    following = next_work(send.run, now=now)
    assert isinstance(following, Send)
    record(claim, [passed], [following], now=now)
    return claim, passed, following


def seen(trigger: Trigger) -> tuple[str, str, str]:
    trigger.refresh_from_db()
    return trigger.status, trigger.current_node_id, trigger.last_step_status


@pytest.fixture
def trigger() -> Trigger:
    return TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))


def test_its_row_stays_as_it_is_and_the_steps_tell(trigger: Trigger) -> None:
    passing_the_first_node()

    assert seen(trigger) == ("processing", "mail", "")
    assert list(Step.objects.order_by("pk").values_list("node_id", "status")) == [
        ("mail", "succeeded"),
        ("text", "running"),
    ]


def test_after_a_crash_it_goes_on_where_the_steps_end(trigger: Trigger, smtp: FakeSmtp) -> None:
    """Invariant 4, with a state that lags behind."""
    passing_the_first_node()
    free_expired_leases(now=timezone.now() + LATER)

    advance_lane("medium")

    assert smtp.mails == []  # the first node's
    assert seen(trigger) == ("completed", "", "succeeded")
    assert list(Step.objects.order_by("node_id", "attempt").values_list("node_id", "attempt", "status")) == [
        ("mail", 1, "succeeded"),
        ("text", 1, "in_doubt"),
        ("text", 2, "succeeded"),
    ]


def test_what_was_passed_counts_its_time_from_when_it_ended(trigger: Trigger) -> None:
    _, _, following = passing_the_first_node()
    ended_at = Step.objects.get(node_id="mail").finished_at
    (again,), _ = load_runs([trigger.pk])
    much_later = timezone.now() + LATER

    replayed = next_work(again, now=much_later)
    assert not isinstance(replayed, Send)
    advance(replayed, now=much_later, may_go_on=True)

    assert again.state.ready["text"].first_at == ended_at
    assert following.run.state.ended == again.state.ended


def test_one_that_does_not_rest_soon_is_told_of(trigger: Trigger) -> None:
    claim, passed, _ = passing_the_first_node()

    tell(claim, [passed], now=timezone.now())

    assert seen(trigger) == ("processing", "text", "succeeded")


def test_one_that_is_lost_is_not(trigger: Trigger) -> None:
    claim, passed, _ = passing_the_first_node()
    free_expired_leases(now=timezone.now() + LATER)

    tell(claim, [passed], now=timezone.now())

    assert seen(trigger) == ("enqueued", "mail", "")


def test_a_batch_tells_of_it_when_it_renews_its_lease(
    smtp: FakeSmtp, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message takes longer than a third of the lease."""
    settings.LEASE_SECONDS = 3
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(SMS, EMAIL)))
    told: list[str] = []

    def tell_and_look(*about: object, **more: object) -> None:
        tell(*about, **more)  # type: ignore[arg-type]
        told.append(seen(trigger)[1])

    monkeypatch.setattr(runner, "tell", tell_and_look)
    smtp.hang("BODY", 1.8)

    advance_lane("medium")

    assert told == ["mail"]
    assert seen(trigger)[0] == "completed"
    assert len(smtp.mails) == 1


def test_one_whose_last_message_fails_when_time_is_over_leaves_its_dead_letter(
    smtp: FakeSmtp, settings: Settings
) -> None:
    """Invariant 7: nothing is told of a state whose steps are not stored yet."""
    settings.CLAIM_WORK_SECONDS = 0.2
    trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(SMS, EMAIL)))
    smtp.hang("MAIL", 0.4)
    smtp.reply("RCPT", "550 5.1.1 No such user")

    advance_lane("medium")

    assert seen(trigger) == ("failed", "mail", "failed")
    letter = DeadLetter.objects.get()
    assert (letter.trigger_id, letter.node_id) == (trigger.pk, "mail")
    assert "known_at" not in Step.objects.get(node_id="mail").output


def test_what_is_recorded_again_because_its_commit_got_no_answer_is_stored_once() -> None:
    """Steps that were skipped, too, keep their ids."""
    edges = [("mail", "text", "false"), ("mail", "last")]
    forked = definition(EMAIL, SMS, {**EMAIL, "id": "last"}, edges=edges)
    TriggerFactory(workflow=WorkflowFactory(definition=forked))
    claim, (send,) = claim_and_write_intents()
    now = timezone.now()
    result = verdict(Answer(send, now, receipt=Receipt("outbox", "<m>")), now=now, dice=0.5)
    advanced = advance(result, now=now, may_go_on=True)
    following = next_work(send.run, now=now)
    assert isinstance(following, Send)

    for _ in range(2):
        assert record(claim, [advanced], [following], now=now) == {send.run.id}

    assert list(Step.objects.order_by("node_id").values_list("node_id", "status")) == [
        ("last", "running"),
        ("mail", "succeeded"),
        ("text", "skipped"),
    ]
