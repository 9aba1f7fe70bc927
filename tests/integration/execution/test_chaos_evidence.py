"""What a round of `make chaos` would call a fault of the log, and what not."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from execution.dead_letter_deeds import discard_letter
from execution.models import DeadLetter
from execution.redrive import redrive_trigger
from execution.runner import advance_lane
from tests.chaos.evidence import WRONG, says_in_doubt
from tests.factories import ANN, TriggerFactory
from triggers.models import Trigger

pytestmark = pytest.mark.django_db(transaction=True)

NO_LETTER = "failed triggers without an open dead letter"
STRAY_LETTER = "dead letters of triggers that did not fail"


def failed() -> tuple[Trigger, DeadLetter]:
    trigger = TriggerFactory(recipient={**ANN, "email": "not an address"})
    advance_lane("medium")
    return trigger, DeadLetter.objects.get()


def found() -> set[str]:
    wrong = set()
    for name in (NO_LETTER, STRAY_LETTER):
        with connection.cursor() as cursor:
            cursor.execute(WRONG[name])
            wrong |= {name} if cursor.fetchall() else set()
    return wrong


def test_a_failed_trigger_wants_a_dead_letter_that_is_open_or_was_discarded() -> None:
    trigger, letter = failed()
    assert found() == set()

    discard_letter(letter.pk, reason="Nobody is there.")
    assert found() == set()

    # It has failed again since, and nobody is told.
    Trigger.objects.filter(pk=trigger.pk).update(completed_at=timezone.now() + timedelta(seconds=1))
    assert found() == {NO_LETTER}


def test_a_trigger_that_goes_on_wants_no_open_dead_letter_and_may_have_discarded_ones() -> None:
    trigger, letter = failed()
    Trigger.objects.filter(pk=trigger.pk).update(status="completed")
    assert found() == {STRAY_LETTER}

    Trigger.objects.filter(pk=trigger.pk).update(status="failed")
    discard_letter(letter.pk, reason="Nobody is there.")
    redrive_trigger(trigger.pk)
    assert found() == set()


@pytest.mark.parametrize(
    ("status", "error", "is_said"),
    [
        ("in_doubt", None, True),
        ("failed", {"code": "timeout", "is_in_doubt": True}, True),
        # The code alone says nothing: a connection that could not be made in time has carried nothing.
        ("failed", {"code": "timeout"}, False),
        ("failed", None, False),
        ("succeeded", None, False),
    ],
)
def test_a_step_says_that_its_message_may_have_left(status: str, error: dict[str, Any] | None, is_said: bool) -> None:
    assert says_in_doubt({"status": status, "error": error}) is is_said
