"""Whether lanes are served: something of them was taken within a limit, so that what is due there is being worked off.

Age alone says nothing. After an outage, or behind a large campaign, triggers are due for hours while workers take the
oldest of the lane again and again: nothing is wrong, and none of them was passed over. When nothing was taken from a
lane for longer than a lost worker's lease and the sweep behind it can hold things up, nobody comes for those that are
due there: there is no worker for the lane, or no bell reaches one.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from accounts.admin_lists import first_id_at
from execution.claims import lease_length
from execution.expiry import EXPIRED
from execution.models import Step
from execution.states import StepStatus
from triggers.models import Trigger
from triggers.states import TriggerStatus

# What the sweep that frees a lost worker's triggers, its bell and a worker that has to end its batch first may add.
AFTER_A_LEASE = timedelta(seconds=30)


def longest_unserved() -> timedelta:
    """Return how long a due trigger waits at most for a worker to come to its lane: a lease and half a minute."""
    return lease_length() + AFTER_A_LEASE


def served_lanes(priorities: Iterable[int], *, within: timedelta, now: datetime) -> frozenset[int]:
    """Return those of these priorities whose lanes something was taken from, or is held in, since `now - within`.

    A claim is seen by its lease while it holds (the index of leases has only what is in process), and by the steps that
    it wrote once it is over: their ids tell when, so that no more is read than was written within the limit, however
    many rows there are. A worker whose triggers need no new step, as where a delay ends the workflow, is seen by its
    leases alone; in a backlog it holds one nearly all the time, and what looks wrong is looked at twice.
    """
    since = now - within
    return frozenset(each for each in priorities if _is_held(each, since) or _was_written(each, since))


def _is_held(priority: int, since: datetime) -> bool:
    """Say whether a lease in the lane was taken or renewed lately; a lost worker's holds for a while without that."""
    held = Trigger.objects.filter(status=TriggerStatus.PROCESSING, priority=priority)
    return held.filter(lease_expires_at__gt=since + lease_length()).exists()


def _was_written(priority: int, since: datetime) -> bool:
    """Say whether a worker began a step of a trigger of the lane lately.

    What expired is left out: the sweep ends that by itself, also where no worker listens. The newest come first, so
    that a lane that is served is found at once; the order also keeps PostgreSQL from looking through the triggers
    instead, most of which are of one lane, for one that has such a step.
    """
    steps = Step.objects.filter(pk__gte=first_id_at(since), trigger__priority=priority)
    begun = steps.exclude(status=StepStatus.FAILED, error__code=EXPIRED)
    return begun.order_by("-pk").values_list("pk", flat=True).first() is not None
