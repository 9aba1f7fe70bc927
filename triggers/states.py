"""The words for where a trigger stands. Which may follow which is in `execution.states`. Pure."""

from enum import StrEnum


class TriggerStatus(StrEnum):
    """A trigger's status; `enqueued` also while it waits for a delay or a retry."""

    ENQUEUED = "enqueued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


UNDER_WAY = (TriggerStatus.ENQUEUED, TriggerStatus.PROCESSING)
FINISHED = (TriggerStatus.COMPLETED, TriggerStatus.FAILED, TriggerStatus.CANCELED)
