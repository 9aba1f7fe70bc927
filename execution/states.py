"""Where triggers and steps may stand and which move may follow which: the one table of legal moves. Pure."""

from enum import StrEnum

from triggers.states import TriggerStatus


class StepStatus(StrEnum):
    """A step's status: `running` is the intent, written before the send; `waiting` is a delay under way."""

    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    IN_DOUBT = "in_doubt"


TRIGGER_MOVES: dict[TriggerStatus, frozenset[TriggerStatus]] = {
    TriggerStatus.ENQUEUED: frozenset({TriggerStatus.PROCESSING, TriggerStatus.CANCELED}),
    TriggerStatus.PROCESSING: frozenset(
        {
            TriggerStatus.ENQUEUED,
            TriggerStatus.PROCESSING,
            TriggerStatus.COMPLETED,
            TriggerStatus.FAILED,
            TriggerStatus.CANCELED,
        }
    ),
    TriggerStatus.FAILED: frozenset({TriggerStatus.ENQUEUED}),
    TriggerStatus.COMPLETED: frozenset(),
    TriggerStatus.CANCELED: frozenset(),
}

STEP_MOVES: dict[StepStatus, frozenset[StepStatus]] = {
    StepStatus.RUNNING: frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.IN_DOUBT}),
    StepStatus.WAITING: frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED}),
    # Late evidence, from a worker that had lost its lease, settles a doubt.
    StepStatus.IN_DOUBT: frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED}),
    StepStatus.SUCCEEDED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.SKIPPED: frozenset(),
}


class IllegalMove(Exception):
    """A trigger or step was about to be moved where the table does not allow."""


def check_trigger_move(before: str, after: str) -> None:
    """Raise IllegalMove unless a trigger may go from `before` to `after`."""
    if TriggerStatus(after) not in TRIGGER_MOVES[TriggerStatus(before)]:
        raise IllegalMove(f"A trigger can't go from {before} to {after}.")


def check_step_move(before: str, after: str) -> None:
    """Raise IllegalMove unless a step may go from `before` to `after`."""
    if StepStatus(after) not in STEP_MOVES[StepStatus(before)]:
        raise IllegalMove(f"A step can't go from {before} to {after}.")
