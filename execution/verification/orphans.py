"""Rows whose foreign key leads nowhere: those keys that the database has no constraint for (docs/adr/0014)."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from execution.models import Step
from execution.verification.findings import Finding, Kind
from triggers.models import Trigger
from workflows.models import WorkflowVersion

# Rows of one look, which is over long before the database's limit for a statement.
ROWS = 20_000


def orphans(*, first_id: UUID | None = None) -> Iterator[Finding]:
    """Give a finding for each trigger without its version and each step without its trigger, from an id on."""
    for pk, missing in _without(Trigger.objects.all(), "version_id", WorkflowVersion.objects.all(), first_id):
        yield Finding(Kind.TRIGGER_WITHOUT_VERSION, f"Its version {missing} is gone.", pk)
    for pk, missing in _without(Step.objects.all(), "trigger_id", Trigger.objects.all(), first_id):
        yield Finding(Kind.STEP_WITHOUT_TRIGGER, f"The step {pk} is of a trigger that is gone.", missing)


def _without(
    rows: QuerySet[Any], column: str, others: QuerySet[Any], first_id: UUID | None
) -> Iterator[tuple[UUID, UUID]]:
    """Give ids of rows that refer to nothing, and what they refer to."""
    behind = rows if first_id is None else rows.filter(pk__gte=first_id)
    while True:
        ids = list(behind.order_by("pk").values_list("pk", flat=True)[ROWS - 1 : ROWS])
        page = behind.filter(pk__lte=ids[0]) if ids else behind
        is_there = Exists(others.filter(pk=OuterRef(column)))
        yield from page.filter(~is_there).order_by("pk").values_list("pk", column)
        if not ids:
            return
        behind = rows.filter(pk__gt=ids[0])
