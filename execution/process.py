"""Process: run the due node of one trigger now, for a machine that asks over the API (API.md, workerService)."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.audit import SYSTEM, Action, Actor
from execution.cancel import AlreadyFinished
from execution.claims import Claim, claim_one
from execution.deeds import note
from execution.runner import AWAY, Batch
from execution.sending import Sender
from triggers.models import Trigger
from triggers.states import FINISHED, TriggerStatus

logger = logging.getLogger(__name__)

_places = threading.Semaphore(settings.PROCESS_AT_ONCE)


class Held(Exception):
    """Another worker has the trigger, or is taking it."""


class NotDue(Exception):
    """The trigger waits until `available_at`, for a delay, a retry or the time it is scheduled for."""

    def __init__(self, available_at: datetime) -> None:
        super().__init__(f"The trigger waits until {available_at.isoformat().replace('+00:00', 'Z')}.")
        self.available_at = available_at


class Busy(Exception):
    """This process runs as many nodes on request as it may; other requests need its threads."""


class Interrupted(Exception):
    """The database went away during the run and the trigger is still claimed; the sweep takes it up again."""


def process_trigger(trigger_id: UUID, *, by: Actor = SYSTEM) -> Trigger:
    """Run the due node of the trigger as a worker does, give the trigger back, and return how it stands then.

    Must not be called inside a transaction: a message is sent. A provider may take its time and holds a thread of the
    web process meanwhile, hence no more than PROCESS_AT_ONCE. The audit entry stands from the claim on, as the intent
    does, so that a worker that dies has told what it was about. Raises Trigger.DoesNotExist, AlreadyFinished, NotDue,
    Held, Busy, and Interrupted when the database was away.
    """
    with _one_of_few():
        held_since = monotonic()
        claim = _claim(trigger_id, by)
        try:
            with Sender(threads=1) as sender:
                Batch(claim, sender, one_node=True, held_since=held_since).work_off()
        except AWAY as error:
            # Whatever the provider said has been recorded, unless the database was away for half a lease: see `Batch`.
            logger.warning("The database went away while trigger %s was processed on request: %s", trigger_id, error)
    try:
        trigger = Trigger.objects.select_related("workflow", "version").get(pk=trigger_id)
    except AWAY as error:
        raise Interrupted from error
    if trigger.claim_id == claim.id:
        raise Interrupted
    return trigger


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Hold one of the process's places while a node is run. Raises Busy when all are taken."""
    if not _places.acquire(blocking=False):
        raise Busy
    try:
        yield
    finally:
        _places.release()


def _claim(trigger_id: UUID, by: Actor) -> Claim:
    now = timezone.now()
    with transaction.atomic():
        trigger = Trigger.objects.without_bodies().get(pk=trigger_id)
        claim = claim_one(trigger, now=now)
        if claim.trigger_ids:
            # What was read before the claim may have moved on until then.
            trigger.refresh_from_db(fields=["current_node_id"])
            note(by, Action.TRIGGER_PROCESSED, trigger, {"node": trigger.current_node_id})
            return claim
    trigger.refresh_from_db(fields=["status", "available_at"])
    if trigger.status in FINISHED:
        raise AlreadyFinished(trigger.status)
    if trigger.status == TriggerStatus.ENQUEUED and trigger.available_at > now:
        raise NotDue(trigger.available_at)
    raise Held
