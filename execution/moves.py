"""Triggers moved by one statement, wherever each of them goes; only what the claim still holds is moved."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from msgspec.structs import asdict

from execution.claims import Claim
from execution.states import check_trigger_move
from triggers.arrays import Integers, Uuids
from triggers.kinds import Kinds
from triggers.models import Trigger
from triggers.sql import columns_of, run
from triggers.states import TriggerStatus


class Move(msgspec.Struct):
    """Where a trigger goes: the columns that change. None leaves `available_at` and `failed_nodes` as they are."""

    run_state: dict[str, Any]
    last_step_status: str
    error: dict[str, Any] | None = None
    failed_nodes: list[str] | None = None
    status: str = TriggerStatus.COMPLETED
    current_node_id: str = ""
    attempts: int = 0
    available_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def keeps_claim(self) -> bool:
        """Whether the worker goes on with the trigger."""
        return self.status == TriggerStatus.PROCESSING


COLUMNS = Move.__struct_fields__
KEPT_WHEN_NONE = ("available_at", "failed_nodes")


def move_triggers(claim: Claim, trigger_ids: Sequence[UUID], moves: Sequence[Move], *, now: datetime) -> None:
    """Move each of these triggers, as far as the claim holds it."""
    if not moves:
        return
    kinds: Kinds[Move] = Kinds()
    numbers = [kinds.number(msgspec.json.encode(move), move) for move in moves]
    for move in kinds.found:
        check_trigger_move(TriggerStatus.PROCESSING, move.status)
    if connection.vendor != "postgresql":
        _move_one_by_one(claim, trigger_ids, numbers, kinds.found, now=now)
        return
    run(_sql(), [Uuids(trigger_ids), Integers(numbers), kinds.encoded(), claim.id, now])


@lru_cache
def _sql() -> str:
    quote = connection.ops.quote_name
    own = "claim_id", "lease_expires_at"
    changes = {quote(name): f"k.{quote(name)}" for name in COLUMNS}
    changes |= {quote(name): f"COALESCE(k.{quote(name)}, t.{quote(name)})" for name in KEPT_WHEN_NONE}
    changes |= {quote(name): f"CASE k.status WHEN 'processing' THEN t.{quote(name)} END" for name in own}
    sets = ", ".join(f"{name} = {value}" for name, value in changes.items())
    return (
        f"UPDATE {quote(Trigger._meta.db_table)} AS t SET {sets}, updated_at = $5"  # noqa: S608  # names of the model
        " FROM unnest($1, $2) AS r(id, kind)"
        f" JOIN jsonb_to_recordset($3::text::jsonb) AS k(kind integer, {columns_of(Trigger, COLUMNS)}) USING (kind)"
        " WHERE t.id = r.id AND t.status = 'processing' AND t.claim_id = $4"
    )


def _move_one_by_one(
    claim: Claim, trigger_ids: Sequence[UUID], numbers: Sequence[int], moves: Sequence[Move], *, now: datetime
) -> None:
    """Do the same without PostgreSQL's own SQL: triggers that go to the same place by one statement."""
    groups: defaultdict[int, list[UUID]] = defaultdict(list)
    for trigger_id, number in zip(trigger_ids, numbers, strict=True):
        groups[number].append(trigger_id)
    for number, ids in groups.items():
        move = moves[number]
        changes = {
            name: value for name, value in asdict(move).items() if value is not None or name not in KEPT_WHEN_NONE
        }
        if not move.keeps_claim:
            changes |= {"claim_id": None, "lease_expires_at": None}
        Trigger.objects.held_by(claim.id).filter(pk__in=ids).update(**changes, updated_at=now)
