"""What is checked and what is found: facts about one trigger in, findings in words out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class Kind(StrEnum):
    """Every kind of thing that can be wrong."""

    # The trigger's own columns.
    VERSION_OF_OTHER_WORKFLOW = "version_of_other_workflow"
    CLAIM_AGAINST_STATUS = "claim_against_status"
    END_AGAINST_STATUS = "end_against_status"
    LEASE_OVERDUE = "lease_overdue"
    LEASE_TOO_LONG = "lease_too_long"
    UNSERVED = "unserved"
    ERROR_MISSING = "error_missing"
    # Its dead letters.
    DEAD_LETTER_MISSING = "dead_letter_missing"
    DEAD_LETTER_WITHOUT_FAILURE = "dead_letter_without_failure"
    # Its state, its graph and its status.
    STATE_UNREADABLE = "state_unreadable"
    STATE_AGAINST_GRAPH = "state_against_graph"
    STATUS_AGAINST_STATE = "status_against_state"
    NODE_AGAINST_STATE = "node_against_state"
    TOO_EARLY = "too_early"
    # Its steps.
    STEP_OF_OTHER_WORKFLOW = "step_of_other_workflow"
    STEP_OF_UNKNOWN_NODE = "step_of_unknown_node"
    STEP_OF_UNREACHED_NODE = "step_of_unreached_node"
    SUCCEEDED_TWICE = "succeeded_twice"
    SUCCEEDED_WITHOUT_STEP = "succeeded_without_step"
    FAILED_WITHOUT_STEP = "failed_without_step"
    SKIPPED_BUT_SENT = "skipped_but_sent"
    SKIPPED_WITHOUT_STEP = "skipped_without_step"
    WAITING_AGAINST_STATE = "waiting_against_state"
    ATTEMPTS_BROKEN = "attempts_broken"
    RUNNING_TOO_LONG = "running_too_long"
    TWO_AT_ONCE = "two_at_once"
    ORDER_AGAINST_EDGES = "order_against_edges"
    # The database itself, and what it has no constraint for.
    GUARD_MISSING = "guard_missing"
    TRIGGER_WITHOUT_VERSION = "trigger_without_version"
    STEP_WITHOUT_TRIGGER = "step_without_trigger"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that can't be and is: the trigger, unless it is about the database itself, and one sentence."""

    kind: Kind
    sentence: str
    trigger_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step, as far as it is checked."""

    workflow_id: UUID
    node_id: str
    node_type: str
    attempt: int
    status: str
    started_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """One trigger, as far as it is checked.

    `updated_at` is when it was last claimed, moved or given back. `open_letters` and `left_letters` count its dead
    letters that wait for a person, and those that a person closed without a redrive.
    """

    id: UUID
    workflow_id: UUID
    version_workflow_id: UUID
    status: str
    priority: int
    current_node_id: str
    available_at: datetime
    updated_at: datetime
    claim_id: UUID | None
    lease_expires_at: datetime | None
    completed_at: datetime | None
    run_state: Mapping[str, Any] | None
    has_error: bool
    open_letters: int = 0
    left_letters: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How late is too late, at the moment `now`.

    `lease` is how long a lease holds when it is taken, `lease_grace` how long it may have been over, `overdue` how long
    a trigger may be due and a lane go unserved, `longest_run` how long a step may be under way, `skew` how far clocks
    of hosts may differ. `served` are the priorities whose lanes something was taken from within `overdue`.
    """

    now: datetime
    lease: timedelta
    lease_grace: timedelta
    overdue: timedelta
    longest_run: timedelta
    skew: timedelta
    served: frozenset[int] = frozenset()
