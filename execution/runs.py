"""Runs: claimed triggers in a worker's memory, with what their earlier steps left behind."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from msgspec import Struct, field

from execution import engine
from execution.states import StepStatus
from execution.step_rows import StepRow, read_steps
from triggers.arrays import Uuids
from triggers.models import Trigger
from triggers.sql import run
from workflows.compiled import CompiledVersion, compiled_version
from workflows.faults import DefinitionInvalid


class NodeHistory(Struct):
    """What the steps of one node tell: attempts made, doubts, the first failure, a proof that it succeeded.

    `in_doubt` is the latest step while that is in doubt.
    """

    attempts: int = 0
    doubts: int = 0
    first_failed_at: datetime | None = None
    in_doubt: StepRow | None = None
    succeeded: StepRow | None = None
    waiting: StepRow | None = None

    def add(self, step: StepRow) -> None:
        """Take in one step; steps come in the order of their attempts."""
        self.attempts = max(self.attempts, step.attempt)
        self.in_doubt = step if step.status == StepStatus.IN_DOUBT else None
        match step.status:
            case StepStatus.IN_DOUBT:
                self.doubts += 1
            case StepStatus.FAILED:
                self.first_failed_at = self.first_failed_at or step.finished_at
            case StepStatus.SUCCEEDED:
                self.succeeded = step
            case StepStatus.WAITING:
                self.waiting = step


class TriggerRow(Struct):
    """What a run needs of its trigger, by the names of `triggers.models.Trigger`; making models takes too long."""

    id: UUID
    workflow_id: UUID
    version_id: UUID
    available_at: datetime
    created_at: datetime
    scheduled_at: datetime | None
    expires_at: datetime | None
    current_node_id: str
    attempts: int
    run_state: dict[str, Any] | None
    recipient: dict[str, Any]
    context: dict[str, Any]


COLUMNS = TriggerRow.__struct_fields__


class Run(Struct):
    """One claimed trigger: where it stands and what its templates can name."""

    trigger: TriggerRow
    workflow: CompiledVersion
    state: engine.RunState
    history: defaultdict[str, NodeHistory] = field(default_factory=lambda: defaultdict(NodeHistory))
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """The trigger's id."""
        return self.trigger.id

    def names(self) -> dict[str, Any]:
        """Return what a template can name; the engine's own names win over the context's."""
        return {
            **self.trigger.context,
            "recipient": self.trigger.recipient,
            "steps": self.outputs,
            "trigger": {"id": str(self.id)},
            "workflow": {"key": self.workflow.workflow_key},
        }


@dataclass(frozen=True, slots=True)
class Unrunnable:
    """A claimed trigger that can't be run any further, and why."""

    trigger: TriggerRow
    code: str
    reason: str


def load_runs(trigger_ids: Sequence[UUID]) -> tuple[list[Run], list[Unrunnable]]:
    """Read claimed triggers and their steps, in two queries; triggers come back in the order asked for."""
    triggers = {trigger.id: trigger for trigger in _read_triggers(trigger_ids)}
    runs: dict[UUID, Run] = {}
    unrunnable: list[Unrunnable] = []
    for trigger_id in trigger_ids:
        trigger = triggers[trigger_id]
        try:
            workflow = compiled_version(trigger.version_id)
            runs[trigger_id] = Run(trigger, workflow, _stored_state(trigger, workflow))
        except DefinitionInvalid as error:
            unrunnable.append(Unrunnable(trigger, "invalid_definition", str(error)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            unrunnable.append(Unrunnable(trigger, "invalid_state", f"The stored state can't be read: {error!r}"))
    # A trigger without a state may have steps too: of a worker that died before it recorded the first outcome.
    take_in_steps(runs, read_steps(list(runs)))
    return list(runs.values()), unrunnable


def _read_triggers(trigger_ids: Sequence[UUID]) -> list[TriggerRow]:
    if connection.vendor != "postgresql":
        found = Trigger.objects.filter(pk__in=trigger_ids).values_list(*COLUMNS)
        return [TriggerRow(*row) for row in found]
    names = ", ".join(map(connection.ops.quote_name, COLUMNS))
    table = connection.ops.quote_name(Trigger._meta.db_table)
    sql = f"SELECT {names} FROM {table} WHERE id = ANY($1)"  # noqa: S608  # names of the model
    return [TriggerRow(*row) for row in run(sql, [Uuids(trigger_ids)])]


def _stored_state(trigger: TriggerRow, workflow: CompiledVersion) -> engine.RunState:
    if trigger.run_state is None:
        # A redrive may have moved `available_at`; what the entry node's time to live counts from stays where it was.
        begin = max(trigger.created_at, trigger.scheduled_at or trigger.created_at)
        since = begin if begin < trigger.available_at else None
        return engine.start(workflow.graph, at=trigger.available_at, since=since)
    return engine.from_json(trigger.run_state)


def failed_output(step: StepRow) -> dict[str, Any]:
    """Return what templates can name of a node that failed for good while the run went on; `step` is its last."""
    return {**step.output, "failed": True, "error": step.error}


def take_in_steps(runs: dict[UUID, Run], steps: Iterable[StepRow]) -> None:
    """Put stored steps into the memory of their runs; they come in the order of their attempts."""
    for step in steps:
        run = runs[step.trigger_id]
        history = run.history[step.node_id]
        history.add(step)
        if step.status == StepStatus.SUCCEEDED:
            run.outputs[step.node_id] = step.output
        elif (
            step.status == StepStatus.FAILED
            and history.succeeded is None
            and run.state.ended.get(step.node_id) is engine.NodeEnd.CONTINUED
        ):
            run.outputs[step.node_id] = failed_output(step)
