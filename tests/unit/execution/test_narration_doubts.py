"""What a step in doubt says: what is known, and what follows for either `on_doubt`."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from execution.doubts import Fate, Prospect, fate_of, redrive_warning
from execution.models import Step
from execution.narration import step_sentence
from triggers.states import TriggerStatus
from workflows.nodes import OnDoubt

NOW = datetime(2026, 3, 5, 9, 0, 0, tzinfo=UTC)
TRIGGER = UUID(int=7)
KEY = f"Message-ID or idempotency key {TRIGGER}.mail"
LOST = (
    "It was handed to smtp at 5 Mar 2026, 09:00:00 UTC and no answer was recorded, as its worker was lost: "
    "no message id came back, and it may have been sent or not."
)
UNCLEAR = (
    "It was handed to smtp at 5 Mar 2026, 09:00:00 UTC, which gave no clear answer: no message id came back, and it "
    "may have been sent or not."
)
TIMEOUT = {"code": "timeout", "message": "No answer.", "is_transient": True, "is_in_doubt": True}


def doubt(**fields: Any) -> Step:
    about: dict[str, Any] = {
        "node_id": "mail", "attempt": 1, "provider": "smtp", "status": "in_doubt", "started_at": NOW, "output": {}
    }  # fmt: skip
    return Step(trigger_id=TRIGGER, **{**about, **fields})


@pytest.mark.parametrize(
    ("step", "known"),
    [
        (doubt(), LOST),
        (doubt(error=TIMEOUT), UNCLEAR),
        (doubt(status="failed", error=TIMEOUT), UNCLEAR),
        (doubt(status="failed", error={**TIMEOUT, "is_in_doubt": False}), ""),
        (
            doubt(message_id="<17>"),
            LOST.replace("no message id came back", "its message id is <17>"),
        ),
        (
            doubt(output={"late_outcome": {"status": "succeeded", "sent_at": "2026-03-05T09:00:02+00:00"}}),
            (
                "It was handed to smtp at 5 Mar 2026, 09:00:00 UTC and taken at 5 Mar 2026, 09:00:02 UTC, "
                "which came to light only after another attempt had been taken too."
            ),
        ),
    ],
)
def test_what_is_known(step: Step, known: str) -> None:
    assert step_sentence(step) == known


@pytest.mark.parametrize(
    ("expected", "follows"),
    [
        (Prospect(Fate.RESENT), f"It will be sent again, under the same {KEY}."),
        (Prospect(Fate.RESENT, 2), f"It was tried again as attempt 2, under the same {KEY}."),
        (
            Prospect(Fate.HELD),
            (
                f"It is held for a person: look it up at the provider ({KEY}), then redrive the trigger, "
                "which sends it again, or leave it."
            ),
        ),
        (Prospect(Fate.OVER), f"It is not sent again, since the trigger has ended; the provider knows it by {KEY}."),
        (Prospect(Fate.DROPPED), f"It is not sent again, since its time is over; the provider knows it by {KEY}."),
        (
            Prospect(Fate.LEFT_BEHIND),
            f"It is not sent again, since its node has ended; the provider knows it by {KEY}.",
        ),
        (Prospect(Fate.UNKNOWN), ""),
    ],
)
def test_what_follows(expected: Prospect, follows: str) -> None:
    assert step_sentence(doubt(), expected) == f"{LOST} {follows}".strip()
    assert step_sentence(doubt(status="failed", error=TIMEOUT), expected) == f"{UNCLEAR} {follows}".strip()


@pytest.mark.parametrize(
    ("on_doubt", "status", "has_ended", "is_late", "fate"),
    [
        (OnDoubt.RESEND, "enqueued", False, False, Fate.RESENT),
        (OnDoubt.HOLD, "enqueued", False, False, Fate.HELD),
        (OnDoubt.HOLD, "failed", False, False, Fate.HELD),
        # Only a redrive goes on.
        (OnDoubt.RESEND, "failed", False, False, Fate.HELD),
        (OnDoubt.HOLD, "canceled", False, False, Fate.OVER),
        (OnDoubt.RESEND, "completed", True, True, Fate.OVER),
        (OnDoubt.RESEND, "enqueued", True, False, Fate.LEFT_BEHIND),
        (OnDoubt.RESEND, "failed", True, True, Fate.LEFT_BEHIND),
        (OnDoubt.HOLD, "failed", False, True, Fate.DROPPED),
        (OnDoubt.RESEND, "processing", False, True, Fate.DROPPED),
        (None, "enqueued", False, False, Fate.UNKNOWN),
        (None, "failed", False, False, Fate.OVER),
    ],
)
def test_what_becomes_of_it(on_doubt: OnDoubt | None, status: str, has_ended: bool, is_late: bool, fate: Fate) -> None:
    assert fate_of(on_doubt, TriggerStatus(status), has_ended=has_ended, is_late=is_late) is fate


WARNING = (
    f"The message of node mail would be sent again, though it may have arrived. {UNCLEAR} Look it up at smtp first, "
    f"by {KEY}, or by recipient and time."
)


@pytest.mark.parametrize(
    ("steps", "warning"),
    [
        ([], ""),
        ([doubt(status="failed", error={**TIMEOUT, "is_in_doubt": False})], ""),
        ([doubt(error=TIMEOUT)], WARNING),
        # One that may have left stays so, whatever became of those behind it.
        ([doubt(), doubt(attempt=2, error=TIMEOUT), doubt(attempt=3, status="failed", error={"code": "x"})], WARNING),
        ([doubt(error=TIMEOUT), doubt(attempt=2, status="succeeded")], ""),
        ([doubt(node_id="text", error=TIMEOUT)], ""),
    ],
)
def test_what_a_redrive_may_send_twice(steps: list[Step], warning: str) -> None:
    assert redrive_warning(steps, left_behind=["text"]) == warning
