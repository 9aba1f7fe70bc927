"""Reads triggers in bounded batches and checks each: read-only, and beside a system that runs.

Each batch is one snapshot, so that nothing moves between the trigger and its steps; what looks wrong is read once more
before it is told, since the lateness of things is judged by the clock.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from accounts.admin_lists import first_id_at
from execution.claims import lease_length
from execution.clock import database_now
from execution.models import DeadLetter, LetterState, Step
from execution.verification.findings import Finding, Limits, StepFacts, TriggerFacts
from execution.verification.guards import missing_guards
from execution.verification.orphans import orphans
from execution.verification.rules import check_trigger, is_overdue
from execution.verification.service import served_lanes
from triggers.models import Trigger, TriggerQuerySet
from workflows.compiled import compiled_version
from workflows.faults import DefinitionInvalid
from workflows.graph import Graph

BATCH = 500
# Clocks of two hosts, which say when steps began and ended, differ by less.
SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Grace:
    """How late is too late: a lease after its end, a trigger after it was due while nothing of its lane is taken."""

    lease: timedelta
    overdue: timedelta


@dataclass(slots=True)
class Progress:
    """How many triggers were looked at; of how many the version can't be read any more, so that no graph was there."""

    checked: int = 0
    without_graph: int = 0


def verify(
    triggers: TriggerQuerySet,
    *,
    since: datetime | None = None,
    grace: Grace,
    progress: Progress,
    on_batch: Callable[[Progress], None] = lambda progress: None,
    clock: Callable[[], datetime] = database_now,
) -> Iterator[Finding]:
    """Check the database's guards and each of these triggers, oldest first, and give what is wrong as it is found.

    What has lost the row that it refers to is looked for among all triggers and steps. `since` leaves out what was made
    before; those made after the start are left to the next time. Changes nothing.
    """
    yield from missing_guards()
    yield from orphans(first_id=None if since is None else first_id_at(since))
    # Ids tell when they were made, by the clock of the host that made them.
    found = triggers.filter(pk__lt=first_id_at(clock() + SKEW))
    if since is not None:
        found = found.filter(pk__gte=first_id_at(since))
    behind = found
    while True:
        last_id, findings = _check(behind, grace, progress, clock)
        if last_id is None:
            return
        if findings:
            yield from _confirmed(findings, grace, clock)
        on_batch(progress)
        behind = found.filter(pk__gt=last_id)


def _confirmed(findings: Sequence[Finding], grace: Grace, clock: Callable[[], datetime]) -> list[Finding]:
    """Look at the triggers again, and return what is still wrong with them."""
    suspicious = {finding.trigger_id for finding in findings if finding.trigger_id}
    before = {(finding.trigger_id, finding.kind) for finding in findings}
    _, again = _check(Trigger.objects.filter(pk__in=suspicious), grace, Progress(), clock)
    return [finding for finding in again if (finding.trigger_id, finding.kind) in before]


def _check(
    triggers: TriggerQuerySet, grace: Grace, progress: Progress, clock: Callable[[], datetime]
) -> tuple[UUID | None, list[Finding]]:
    """Check one batch; return the id of its last trigger too, None when there is none left."""
    with _snapshot():
        limits = _limits(clock(), grace)
        batch = list(_read(triggers))
        overdue = {trigger.priority for trigger, *_ in batch if is_overdue(trigger, limits)}
        limits = replace(limits, served=served_lanes(overdue, within=grace.overdue, now=limits.now))
    findings: list[Finding] = []
    for trigger, version_id, steps in batch:
        graph = _graph(version_id)
        progress.without_graph += graph is None
        findings += check_trigger(graph, trigger, steps, limits)
    progress.checked += len(batch)
    return batch[-1][0].id if batch else None, findings


@contextmanager
def _snapshot() -> Iterator[None]:
    """See one state of the database, and be kept from changing it; a test's own transaction stays as it is.

    On SQLite a transaction would keep everybody else from writing: there only the second look helps.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _limits(now: datetime, grace: Grace) -> Limits:
    return Limits(
        now=now,
        lease=lease_length(),
        lease_grace=grace.lease,
        overdue=grace.overdue,
        # As the sweep has it, which then finds the step in doubt; see `sweep.doubt_orphaned_steps`.
        longest_run=timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + settings.LEASE_SECONDS) + grace.lease,
        skew=SKEW,
    )


COLUMNS = (
    "status", "workflow_id", "priority", "current_node_id", "available_at", "updated_at", "claim_id",
    "lease_expires_at", "completed_at", "run_state",
)  # fmt: skip
STEP_COLUMNS = ("workflow_id", "node_id", "node_type", "attempt", "status", "started_at", "finished_at")


def _read(triggers: TriggerQuerySet) -> Iterator[tuple[TriggerFacts, UUID, list[StepFacts]]]:
    """Give one batch, oldest first: facts, the version's id, steps; four queries."""
    columns = ("pk", "version_id", "version__workflow_id", "error", *COLUMNS)
    rows: list[dict[str, Any]] = list(triggers.order_by("pk").values(*columns)[:BATCH])
    ids = [row["pk"] for row in rows]
    steps: defaultdict[UUID, list[StepFacts]] = defaultdict(list)
    for owner, *step in Step.objects.filter(trigger_id__in=ids).values_list("trigger_id", *STEP_COLUMNS):
        steps[owner].append(StepFacts(*step))
    letters = DeadLetter.objects.filter(trigger_id__in=ids)
    still_open = Counter(letters.open().values_list("trigger_id", flat=True))
    left = Counter(letters.in_state(LetterState.DISCARDED).values_list("trigger_id", flat=True))
    for row in rows:
        facts = TriggerFacts(
            id=row["pk"],
            version_workflow_id=row["version__workflow_id"],
            has_error=row["error"] is not None,
            open_letters=still_open[row["pk"]],
            left_letters=left[row["pk"]],
            **{name: row[name] for name in COLUMNS},
        )
        yield facts, row["version_id"], steps[row["pk"]]


def _graph(version_id: UUID) -> Graph | None:
    """Return the version's graph; None when it can't be read any more, as after a channel was taken out."""
    try:
        return compiled_version(version_id).graph
    except DefinitionInvalid:
        return None
