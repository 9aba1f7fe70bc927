"""Intents: each step is stored as `running` before its message is sent (DESIGN section 6, T3)."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef

from channels.registry import channel_for
from execution.claims import Claim, lock_held, release
from execution.models import Step
from execution.states import StepStatus
from execution.step_rows import StepRow
from execution.work import Send, StepError

NEVER_SENT: StepError = {
    "code": "never_sent",
    "message": "The worker lost its lease before it began to send; this attempt sent nothing.",
    "is_transient": True,
}


def intents_of(claim: Claim, sends: Sequence[Send]) -> list[StepRow]:
    """Return the steps of these sends, as they are stored before anything is sent."""
    providers = {channel: channel_for(channel).provider for channel in {send.node.type for send in sends}}
    for send in sends:
        send.step.claim_id = claim.id
        send.step.provider = providers[send.node.type]
    return [send.step for send in sends]


@transaction.atomic
def withdraw_intents(claim: Claim, sends: Sequence[Send], *, now: datetime) -> None:
    """Take back intents whose send has not begun, as only this worker can know; their triggers are due at once.

    Without a send there was no step, so the rows go, also where the sweep has found them in doubt meanwhile. Where
    another worker has made a later attempt since, the row stays, so that attempts are counted without a hole, and says
    that nothing was sent.
    """
    lock_held(claim, [send.run.id for send in sends])
    unsettled = Step.objects.filter(
        status__in=[StepStatus.RUNNING, StepStatus.IN_DOUBT], claim_id=claim.id, pk__in=[send.step.id for send in sends]
    )
    later = Step.objects.filter(
        trigger=OuterRef("trigger"), node_id=OuterRef("node_id"), attempt__gt=OuterRef("attempt")
    )
    unsettled.filter(Exists(later)).update(status=StepStatus.FAILED, finished_at=now, error=NEVER_SENT)
    unsettled.filter(~Exists(later)).delete()
    release(claim, [send.run.id for send in sends], now=now)
