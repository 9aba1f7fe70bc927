"""What a change of a workflow was, told briefly for the audit trail: never the whole definition. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workflows.priorities import Priority

# A definition has up to 500 nodes and 2,000 edges; an entry names so many, and counts the others.
MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class Facts:
    """What the trail tells of a workflow at one moment."""

    name: str
    priority: int
    is_active: bool
    version: int


def fact_changes(before: Facts | None, after: Facts) -> dict[str, Any]:
    """Return `{field: [before, after]}` of the fields that differ; a new workflow has None before each."""
    changes: dict[str, Any] = {}
    for name in Facts.__slots__:
        pair = [None if before is None else _word(name, before), _word(name, after)]
        if pair[0] != pair[1]:
            changes[name] = pair
    return changes


def definition_changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs between two valid definitions with their defaults; with None before, all is new.

    `entry_node_id`, `strict_variables` and `retry` as `[before, after]`; `nodes` and `edges` as the ids that were
    `added`, `removed` and `changed`, an edge's being `from->to`, `reordered` when the same are in another order, and
    `more` for how many ids were left out.
    """
    old = before or {}
    changes: dict[str, Any] = {}
    for name in ("entry_node_id", "strict_variables", "retry"):
        if old.get(name) != after.get(name):
            changes[name] = [old.get(name), after.get(name)]
    for name, ids in (("nodes", _node_ids), ("edges", _edge_ids)):
        parts = _part_changes(ids(old.get(name, [])), ids(after[name]))
        if parts:
            changes[name] = parts
    return changes


def _word(name: str, facts: Facts) -> Any:
    return Priority(facts.priority).lane if name == "priority" else getattr(facts, name)


def _node_ids(nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {str(node["id"]): node for node in nodes}


def _edge_ids(edges: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{edge['from']}->{edge['to']}": edge for edge in edges}


def _part_changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    found = {
        "added": [key for key in after if key not in before],
        "removed": [key for key in before if key not in after],
        "changed": [key for key in after if key in before and before[key] != after[key]],
    }
    changes: dict[str, Any] = {kind: keys[:MOST_NAMED] for kind, keys in found.items() if keys}
    left_out = sum(max(0, len(keys) - MOST_NAMED) for keys in found.values())
    if left_out:
        changes["more"] = left_out
    if not changes and list(before) != list(after):
        changes["reordered"] = True
    return changes
