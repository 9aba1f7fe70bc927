"""Evidence: what a worker learned about steps of triggers that it no longer holds. It moves no trigger.

A claim is lost to the sweep, when its lease ran out, or to a cancel. The send happened all the same, and the step says
so: one that was `running` or found in doubt takes the outcome, with `known_at` (when it was stored, which is later than
`finished_at`) and with `after_cancel` where a cancel came before it. If the node has been sent again meanwhile and
succeeded, the earlier step stays in doubt and keeps what is known in its output.
"""

import logging
from collections.abc import Iterable, Sequence

from django.utils import timezone

from execution.models import Step
from execution.states import StepStatus, check_step_move
from execution.step_rows import StepRow
from triggers.models import Trigger
from triggers.states import TriggerStatus

logger = logging.getLogger(__name__)


def add_evidence(steps: Iterable[StepRow]) -> None:
    """Store late outcomes, inside the caller's transaction."""
    for late in steps:
        stored = Step.objects.select_for_update().filter(pk=late.id).first()
        if stored is None or stored.status not in (StepStatus.RUNNING, StepStatus.IN_DOUBT):
            # A delay that was never stored, or an outcome that is known already.
            continue
        logger.warning("Late outcome of step %s: %s", late.id, late.status)
        if late.status == StepStatus.SUCCEEDED and _has_succeeded_since(stored):
            stored.output = {**stored.output, "late_outcome": {"status": late.status, **late.output}}
            stored.status, stored.finished_at = StepStatus.IN_DOUBT, late.finished_at
        elif late.status == StepStatus.IN_DOUBT:
            stored.status, stored.finished_at, stored.error = (
                StepStatus.IN_DOUBT,
                late.finished_at,
                late.error,
            )
        else:
            check_step_move(stored.status, late.status)
            stored.status, stored.finished_at = late.status, late.finished_at
            stored.provider, stored.message_id = late.provider, late.message_id
            # Until then nobody could know: another attempt may have begun after the end of this one.
            stored.output, stored.error = {**late.output, "known_at": timezone.now().isoformat()}, late.error
            if Trigger.objects.filter(pk=stored.trigger_id, status=TriggerStatus.CANCELED).exists():
                stored.output = {**stored.output, "after_cancel": True}
        stored.save()


def yield_to_evidence(steps: Sequence[StepRow]) -> None:
    """Leave in doubt, not stored yet, what succeeded after late evidence had proved an earlier attempt of its node."""
    again = [step for step in steps if step.attempt > 1 and step.status == StepStatus.SUCCEEDED]
    if not again:
        return
    proved = Step.objects.filter(trigger_id__in=[step.trigger_id for step in again], status=StepStatus.SUCCEEDED)
    nodes = set(proved.values_list("trigger_id", "node_id"))
    for step in again:
        if (step.trigger_id, step.node_id) in nodes:
            step.output = {**step.output, "late_outcome": {"status": step.status, **step.output}}
            step.status = StepStatus.IN_DOUBT


def _has_succeeded_since(step: Step) -> bool:
    return Step.objects.filter(trigger_id=step.trigger_id, node_id=step.node_id, status=StepStatus.SUCCEEDED).exists()
