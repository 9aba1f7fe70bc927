"""Definitions read: to a typed node, or to what is wrong with them."""

from typing import Any

import pytest

from tests.factories import EMAIL, definition
from workflows.definition import parse_definition
from workflows.faults import DefinitionInvalid, Fault
from workflows.nodes import DelayNode, MessageNode, Node


def faults(raw: dict[str, Any]) -> list[Fault]:
    with pytest.raises(DefinitionInvalid) as refused:
        parse_definition(raw)
    return list(refused.value.faults)


def found(raw: dict[str, Any]) -> list[tuple[str, str]]:
    """Return path and code of each fault, in the order reported."""
    return [(fault.path, fault.code) for fault in faults(raw)]


def found_in(node: object) -> list[tuple[str, str]]:
    """Return path and code of each fault of `nodes.1`, behind a valid entry node that leads to it."""
    identity = node.get("id") if isinstance(node, dict) else None
    edges: list[tuple[str, ...]] = [("mail", identity)] if isinstance(identity, str) else []
    raw = definition(EMAIL, edges=edges)
    return found({**raw, "nodes": [*raw["nodes"], node]})


def parsed(node: dict[str, Any]) -> Node:
    return parse_definition(definition(node)).graph.nodes[node["id"]]


def parsed_delay(**fields: Any) -> DelayNode:
    node = parsed({"id": "wait", "type": "delay", **fields})
    assert isinstance(node, DelayNode)
    return node


def parsed_message(node: dict[str, Any], **fields: Any) -> MessageNode:
    read = parsed({**node, **fields})
    assert isinstance(read, MessageNode)
    return read
