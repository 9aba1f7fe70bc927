"""A definition in words, for whoever reads it on a page: what each node does, when, and where it leads. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows.durations import DurationInvalid, parse_duration
from workflows.faults import Faults
from workflows.node_types import DELAY
from workflows.nodes import RetryPolicy
from workflows.retry_policies import PRESETS, parse_retry

UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
ICONS = {"email": "mail", "sms": "sms", DELAY: "schedule", "push": "notifications", "in_app": "inbox",
         "webhook": "webhook", "chat": "chat", "digest": "stacks"}  # fmt: skip
OTHER_ICON = "bolt"
# Texts of a node that are not said to anybody: `timing` has them in words.
NOT_SAID = {"id", "type", "duration", "retry", "on_doubt", "on_failure"}


@dataclass(frozen=True, slots=True)
class Exit:
    """Where a node leads, and the condition, if there is one."""

    target: str
    when: str


@dataclass(frozen=True, slots=True)
class NodeWords:
    """What one node says; `texts` are its templates by field name, in the order they were given."""

    id: str
    type: str
    icon: str
    is_entry: bool
    texts: tuple[tuple[str, str], ...]
    timing: str
    exits: tuple[Exit, ...]


def describe(definition: Mapping[str, Any]) -> list[NodeWords]:
    """Return the nodes of a definition in words, in its order."""
    exits: dict[str, list[Exit]] = {}
    for edge in definition.get("edges", []):
        exits.setdefault(edge["from"], []).append(Exit(edge["to"], edge.get("when") or ""))
    by_default = definition.get("retry")
    return [
        NodeWords(
            id=node["id"],
            type=node["type"],
            icon=icon_of(node["type"]),
            is_entry=node["id"] == definition["entry_node_id"],
            texts=tuple(
                (name, value) for name, value in node.items() if name not in NOT_SAID and isinstance(value, str)
            ),
            timing=_delay(node) if node["type"] == DELAY else _sending(node, by_default),
            exits=tuple(exits.get(node["id"], ())),
        )
        for node in definition["nodes"]
    ]


def icon_of(node_type: str) -> str:
    """Return the name of a node type's icon in the font of Material Symbols."""
    return ICONS.get(node_type, OTHER_ICON)


def in_words(duration: timedelta) -> str:
    """Return a duration such as `1 day 30 minutes`."""
    left = duration.total_seconds()
    parts = []
    for size, name in UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(_counted(int(count), name))
    if left or not parts:
        parts.append(f"{left:g} second{'' if left == 1 else 's'}")
    return " ".join(parts)


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count:,} {name}s"


def _delay(node: Mapping[str, Any]) -> str:
    if "duration" not in node:
        return f"waits {in_words(timedelta(milliseconds=node.get('delay_ms', 0)))}"
    try:
        return f"waits {in_words(parse_duration(node['duration']))}"
    except DurationInvalid:
        return f"waits {node['duration']}"


def _sending(node: Mapping[str, Any], by_default: Any) -> str:
    """Say when a message is tried again, how long it is worth sending, and what follows when nothing helps."""
    said = node.get("retry", by_default)
    words = _retry(said)
    if isinstance(said, str) and said in PRESETS:
        words += f" ({said})"
    ttl = node.get("ttl_s")
    if isinstance(ttl, int | float):
        words += f"; dropped {in_words(timedelta(seconds=ttl))} after its turn came"
    if node.get("on_doubt") == "hold":
        words += "; held when it is unknown whether it was sent"
    if node.get("on_failure") == "continue":
        words += "; the workflow goes on when it fails"
    return words


def _retry(said: Any) -> str:
    """Put a policy into words, also one that could not be stored: as the default then."""
    policy = parse_retry({} if said is None else {"retry": said}, "", Faults(), default=RetryPolicy())
    attempts = _counted(policy.max_attempts, "attempt")
    return attempts if policy.max_attempts == 1 else f"{attempts}, {_waits(policy)}"


def _waits(policy: RetryPolicy) -> str:
    if policy.intervals:
        return f"after {', '.join(in_words(interval) for interval in policy.intervals)}"
    return (
        f"after {in_words(policy.base)}, then {policy.factor:g} times as long each time, {in_words(policy.cap)} at most"
    )
