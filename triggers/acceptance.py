"""Idempotent acceptance: however often and from wherever a trigger is asked for, it exists once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from accounts.audit import SYSTEM, Actor
from triggers import bells
from triggers.gathering import Gathering
from triggers.insertion import NewTrigger, begins_at, insert_new
from triggers.models import Trigger
from workflows.models import Workflow
from workflows.priorities import Priority

# Errors of one row or of one pair of transactions: a deadlock, a row past PostgreSQL's own limits.
OWN_STATES = ("40", "54")


class UnknownWorkflow(Exception):
    """There is no workflow with that id or key."""


class WorkflowInactive(Exception):
    """The workflow takes no new triggers until it is activated."""


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """What a client asks for; `workflow` is an id or a key, `priority` defaults to the workflow's.

    What is not sent by `expires_at` is dropped; `ttl` says the same, counted from when the trigger may begin.
    """

    workflow: str
    idempotency_key: str
    recipient: dict[str, Any]
    context: dict[str, Any]
    priority: Priority | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    ttl: timedelta | None = None

    def expiry(self, *, accepted_at: datetime) -> datetime | None:
        """Return when a trigger that was accepted then expires by this request, or None when it never does."""
        if self.ttl is None:
            return self.expires_at
        return begins_at(accepted_at, self.scheduled_at) + self.ttl


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The trigger that stands, whether this request made it, and whether it asked for something else."""

    trigger: Trigger
    is_created: bool
    payload_differs: bool = False

    @property
    def status_code(self) -> int:
        """How the API answers."""
        return HTTPStatus.ACCEPTED if self.is_created else HTTPStatus.OK

    @property
    def headers(self) -> dict[str, str]:
        """What the API says beside the trigger."""
        if self.is_created:
            return {}
        differs = {"Idempotent-Payload-Differs": "true"} if self.payload_differs else {}
        return {"Idempotent-Replayed": "true", **differs}


def accept_trigger(request: TriggerRequest, *, by: Actor = SYSTEM) -> Acceptance:
    """Insert the trigger once per workflow and idempotency key, with its audit entry, and ring its lane after commit.

    Requests of one moment are inserted together, in one transaction; inside a transaction of the caller's each is
    alone. Raises UnknownWorkflow, and WorkflowInactive unless the trigger stands already.
    """
    new = _new(request, by, now=timezone.now())
    if connection.in_atomic_block:
        (is_made,) = _insert([new])
        _ring([new])
    else:
        is_made = _moment.join(new)
    return Acceptance(new.trigger(), is_created=True) if is_made else _standing(request)


def _new(request: TriggerRequest, by: Actor, *, now: datetime) -> NewTrigger:
    return NewTrigger(
        named=request.workflow,
        idempotency_key=request.idempotency_key,
        recipient=request.recipient,
        context=request.context,
        created_at=now,
        by=by,
        priority=None if request.priority is None else request.priority.value,
        scheduled_at=request.scheduled_at,
        expires_at=request.expiry(accepted_at=now),
    )


def _insert(news: Sequence[NewTrigger]) -> list[bool]:
    made = insert_new(news)
    return [new.id in made for new in news]


def _ring(news: Sequence[NewTrigger]) -> None:
    """Ring, after commit, for those that were made: only they have got a version."""
    now = timezone.now()
    times = {(new.priority, max(new.available_at, now)) for new in news if new.version is not None}
    for lane, moment in {(Priority(priority).lane, at) for priority, at in times if priority is not None}:
        bells.ring_on_commit(lane, moment, now=now)


def _is_everyones(error: BaseException) -> bool:
    """Say whether the database was away for all requests of the moment, and would be for each of them alone."""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return isinstance(error, OperationalError | InterfaceError) and not state.startswith(OWN_STATES)


_moment = Gathering(_insert, then=_ring, is_everyones=_is_everyones)


def _standing(request: TriggerRequest) -> Acceptance:
    """Return the trigger that kept the request from being inserted, or raise what else did."""
    workflow = Workflow.objects.named(request.workflow).first()
    if workflow is None:
        raise UnknownWorkflow(request.workflow)
    existing = (
        Trigger.objects.select_related("workflow", "version")
        .filter(workflow=workflow, idempotency_key=request.idempotency_key)
        .first()
    )
    if existing is not None:
        return Acceptance(existing, is_created=False, payload_differs=_differs(existing, request))
    if workflow.deleted_at is not None:
        raise UnknownWorkflow(request.workflow)
    raise WorkflowInactive(workflow.key)


def _differs(existing: Trigger, request: TriggerRequest) -> bool:
    """Say whether the request asks for something else; what it leaves out is not compared with defaults."""
    return (
        existing.recipient != request.recipient
        or existing.context != request.context
        or (request.priority is not None and existing.priority != request.priority)
        or existing.scheduled_at != request.scheduled_at
        or existing.expires_at != request.expiry(accepted_at=existing.created_at)
    )
