"""Steps in a worker's memory: rows without Django's models around them, which cost more than the rest of a step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from msgspec import Struct, field
from uuid_utils.compat import uuid7

from execution.models import Step
from triggers.arrays import Uuids
from triggers.sql import run


class StepRow(Struct):
    """A row of the execution log, by the names and with the meaning of `execution.models.Step`."""

    trigger_id: UUID
    workflow_id: UUID
    node_id: str
    node_type: str
    attempt: int
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    provider: str = ""
    message_id: str = ""
    output: dict[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    claim_id: UUID | None = None
    id: UUID = field(default_factory=uuid7)

    def model(self) -> Step:
        """Return it as Django has it."""
        return Step(**{name: getattr(self, name) for name in NAMES})


NAMES = StepRow.__struct_fields__
# Whoever tells of a step takes either.
AnyStep = Step | StepRow


def read_steps(trigger_ids: Sequence[UUID]) -> list[StepRow]:
    """Return the steps of these triggers, in the order of their attempts."""
    if connection.vendor != "postgresql":
        found = Step.objects.filter(trigger_id__in=trigger_ids).order_by("attempt", "pk").values_list(*NAMES)
        return [StepRow(*row) for row in found]
    names = ", ".join(map(connection.ops.quote_name, NAMES))
    table = connection.ops.quote_name(Step._meta.db_table)
    sql = f"SELECT {names} FROM {table} WHERE trigger_id = ANY($1) ORDER BY attempt, id"  # noqa: S608  # names of the model
    return [StepRow(*row) for row in run(sql, [Uuids(trigger_ids)])]
