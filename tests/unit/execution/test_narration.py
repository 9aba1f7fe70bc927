"""What a trigger's row and steps say, in sentences."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from execution.models import Step
from execution.narration import duration, next_sentence, step_sentence, trouble
from triggers.models import Trigger

NOW = datetime(2026, 3, 5, 9, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TRIGGER = UUID(int=7)


def trigger(**fields: Any) -> Trigger:
    return Trigger(**{"status": "enqueued", "current_node_id": "mail", "priority": 1, "available_at": NOW, **fields})


def step(status: str = "succeeded", **fields: Any) -> Step:
    return Step(**{"status": status, "node_id": "mail", "attempt": 1, "started_at": NOW, **fields})


@pytest.mark.parametrize(
    ("row", "steps", "sentence"),
    [
        (trigger(), [], "It is due: the next free worker of the lane high takes it up at node mail."),
        (
            trigger(available_at=NOW - HOUR),
            [],
            (
                "It is due: the next free worker of the lane high takes it up at node mail. It has been due since "
                "5 Mar 2026, 08:00:00 UTC (1 hour ago): is a worker of that lane running?"
            ),
        ),
        (
            trigger(available_at=NOW + HOUR),
            [],
            "It starts at 5 Mar 2026, 10:00:00 UTC (in 1 hour) with node mail, as scheduled.",
        ),
        (
            trigger(available_at=NOW + HOUR, current_node_id="wait"),
            [step(), step("waiting", node_id="wait")],
            "It waits until 5 Mar 2026, 10:00:00 UTC (in 1 hour) in the delay wait, and goes on from there.",
        ),
        (
            trigger(available_at=NOW + timedelta(seconds=8), attempts=2),
            [step("failed"), step("failed", attempt=2)],
            "Node mail is tried again at 5 Mar 2026, 09:00:08 UTC (in 8 s); 2 times it has failed so far.",
        ),
        (
            trigger(status="processing", lease_expires_at=NOW + timedelta(seconds=30)),
            [],
            (
                "A worker holds it and is at node mail. If that worker is lost, the sweep frees the trigger after "
                "5 Mar 2026, 09:00:30 UTC (in 30 s)."
            ),
        ),
        (
            trigger(status="failed", completed_at=NOW),
            [],
            (
                "Nothing, until somebody redrives it: it then goes on from node mail, with all its attempts. "
                "What was sent is not sent again."
            ),
        ),
        (
            trigger(status="failed", completed_at=NOW),
            [step("in_doubt", provider="twilio", trigger_id=TRIGGER)],
            (
                "Nothing, until somebody redrives it: it then goes on from node mail, with all its attempts. "
                "The message of node mail would be sent again, though it may have arrived. It was handed to twilio at "
                "5 Mar 2026, 09:00:00 UTC and no answer was recorded, as its worker was lost: no message id came back, "
                "and it may have been sent or not. Look it up at twilio first, by Message-ID or idempotency key "
                f"{TRIGGER}.mail, or by recipient and time. What is known to have been sent is not."
            ),
        ),
        (
            trigger(status="failed", completed_at=NOW - HOUR, expires_at=NOW - HOUR),
            [],
            (
                "Nothing more: its time was over 5 Mar 2026, 08:00:00 UTC (1 hour ago). "
                "A redrive sends nothing of it and ends it again."
            ),
        ),
        (
            trigger(available_at=NOW + HOUR, expires_at=NOW + HOUR, current_node_id="wait"),
            [step("waiting", node_id="wait")],
            (
                "It waits in the delay wait, and is dropped at 5 Mar 2026, 10:00:00 UTC (in 1 hour), "
                "when its time is over."
            ),
        ),
        (
            trigger(status="completed", completed_at=NOW - HOUR, failed_nodes=["mail", "push"]),
            [],
            (
                "Nothing more: it was completed 5 Mar 2026, 08:00:00 UTC (1 hour ago). "
                "It went on although mail, push failed, as the workflow says."
            ),
        ),
        (
            trigger(status="completed", completed_at=NOW - HOUR),
            [],
            "Nothing more: it was completed 5 Mar 2026, 08:00:00 UTC (1 hour ago).",
        ),
        (
            trigger(status="canceled", completed_at=NOW),
            [],
            "Nothing more: it was canceled 5 Mar 2026, 09:00:00 UTC (now).",
        ),
    ],
)
def test_what_happens_next(row: Trigger, steps: list[Step], sentence: str) -> None:
    assert next_sentence(row, steps, now=NOW) == sentence


def test_an_error_says_whether_trying_again_can_help_and_what_to_do() -> None:
    permanent = trouble({"code": "invalid_address", "message": "no @", "is_transient": False}, is_final=True)
    transient = {"code": "rate_limited", "message": "slow down", "is_transient": True}
    passing, used_up = trouble(transient, is_final=False), trouble(transient, is_final=True)

    assert permanent is not None
    assert (permanent.code, permanent.message) == ("invalid_address", "no @")
    assert permanent.outlook == "Trying again as it is would not help, so it was not tried again."
    assert permanent.advice == "The trigger's recipient has an address that can't be one."
    assert passing is not None
    assert (passing.outlook, passing.advice) == ("This kind of error passes.", "")
    assert used_up is not None
    assert used_up.outlook == "This kind of error passes, but the node's attempts are used up."
    assert trouble(None, is_final=True) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (step(finished_at=NOW + timedelta(milliseconds=73)), "73 ms"),
        (step(finished_at=NOW + timedelta(hours=24, microseconds=9)), "1 day"),
        (step("waiting", started_at=NOW - timedelta(minutes=3)), "for 3 minutes"),
        (step("running"), "begun just now"),
        (step("skipped", attempt=0, finished_at=NOW), ""),
    ],
)
def test_how_long_a_step_took(row: Step, words: str) -> None:
    assert duration(row, now=NOW) == words


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (step("skipped", attempt=0), "No edge that leads here was taken."),
        (step("skipped", attempt=1), "The trigger was canceled while this was waiting."),
        (step("skipped", attempt=1, error={"code": "expired"}), "Dropped: its time was over."),
        (step("failed", error={"code": "expired"}), "Dropped: its time was over."),
        (step("failed", error={"code": "timeout"}), ""),
        (step("waiting", output={"until": "2026-03-06T09:00:00+00:00"}), "Waits until 6 Mar 2026, 09:00:00 UTC."),
        (step("succeeded"), ""),
    ],
)
def test_what_a_status_means(row: Step, sentence: str) -> None:
    assert step_sentence(row) == sentence
