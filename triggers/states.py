"""The words for where a trigger, or an upload of many, stands. Which may follow which: `execution.states`. Pure."""

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


class UploadState(StrEnum):
    """How an upload stands; `finished` when its body has ended."""

    RUNNING = "running"
    FINISHED = "finished"
    BROKEN_OFF = "broken_off"
