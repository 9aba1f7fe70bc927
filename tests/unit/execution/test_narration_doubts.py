"""What a step in doubt says: what is known, and what follows for either `on_doubt`."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from execution.doubts import Prospect
from execution.models import Step
from execution.narration import step_sentence
from workflows.nodes import OnDoubt

NOW = datetime(2026, 3, 5, 9, 0, 0, tzinfo=UTC)
TRIGGER = UUID(int=7)
KEY = f"Message-ID or idempotency key {TRIGGER}.mail"
LOST = (
    "It was handed to smtp at 5 Mar 2026, 09:00:00 UTC and no answer was recorded, as its worker was lost: "
    "it may have been sent or not."
)
UNCLEAR = "It was handed to smtp at 5 Mar 2026, 09:00:00 UTC, which gave no clear answer: it may have been sent or not."


def doubt(**fields: Any) -> Step:
    about: dict[str, Any] = {"node_id": "mail", "attempt": 1, "provider": "smtp", "started_at": NOW, "output": {}}
    return Step(trigger_id=TRIGGER, status="in_doubt", **{**about, **fields})


def prospect(on_doubt: OnDoubt | None = OnDoubt.RESEND, *, latest: int = 1, is_over: bool = False) -> Prospect:
    return Prospect(on_doubt, latest, is_over)


@pytest.mark.parametrize(
    ("step", "known"),
    [
        (doubt(), LOST),
        (doubt(error={"code": "timeout", "message": "No answer.", "is_transient": True}), UNCLEAR),
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
        (prospect(), f"It will be sent again, under the same {KEY}."),
        (prospect(latest=2), f"It was sent again as attempt 2, under the same {KEY}."),
        (
            prospect(OnDoubt.HOLD, is_over=True),
            (
                f"It is held for a person: look it up at the provider ({KEY}), then redrive the trigger, "
                "which sends it again, or leave it."
            ),
        ),
        (prospect(OnDoubt.HOLD, latest=2), f"It was sent again as attempt 2, under the same {KEY}."),
        (
            prospect(is_over=True),
            f"It is not sent again, since the trigger has ended; the provider knows it by {KEY}.",
        ),
        (prospect(None), ""),
    ],
)
def test_what_follows(expected: Prospect, follows: str) -> None:
    assert step_sentence(doubt(), expected) == f"{LOST} {follows}".strip()
