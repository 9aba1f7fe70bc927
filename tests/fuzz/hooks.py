"""What schemathesis is told beyond the schema: graphs that hang together, and what must stay as it is."""

import atexit
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.openapi.checks import RejectedPositiveData

WORLD: dict[str, list[str]] = json.loads(os.environ["FUZZ_WORLD"])
CHANGE_WORKFLOWS = {
    "workflows_update", "workflows_partial_update", "workflows_destroy", "workflows_deactivate_create",
}  # fmt: skip
HAVE_GRAPHS = {"workflows_create", "workflows_update", "workflows_validate_create"}

# How often each operation answered with each status; written at the end.
ANSWERS: Counter[str] = Counter()


@atexit.register
def write_answers() -> None:
    """Write what was counted to where the round reads it."""
    Path(os.environ["FUZZ_ANSWERS"]).write_text(json.dumps(ANSWERS))


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context: Any, value: Any) -> bytes:
    """Send lines as they are; what is no text, as JSON."""
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace")


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count the answer."""
    ANSWERS[f"{case.operation.definition.raw['operationId']} {response.status_code}"] += 1


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Close the answers: a field that is not documented may be one that nobody meant to show."""
    for name, shape in raw_schema["components"]["schemas"].items():
        if not name.endswith("Request") and "properties" in shape:
            shape.setdefault("additionalProperties", False)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Spare what must stay as it is, and make a graph of nodes that fit the schema one by one."""
    definition: dict[str, Any] = case.operation.definition.raw
    name = definition.get("operationId")
    if name == "users_partial_update" and case.path_parameters.get("id") in WORLD["accounts"]:
        case.path_parameters["id"] = WORLD["users"][0]
    if name in CHANGE_WORKFLOWS and case.path_parameters.get("id") in WORLD["kept"]:
        case.path_parameters["id"] = WORLD["changed"][0]
    is_positive = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if name in HAVE_GRAPHS and is_positive and isinstance(case.body, dict):
        _join(case.body)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Keep what is found, except what no schema can say, and what schemathesis 4.32 gets wrong.

    A schema can't say that a moment of 0001-01-01T00:00:17+01:06 lies in a year that UTC has not; schemathesis takes
    headers for valid that fit no pattern, as `If-Match: 0`.
    """
    if not isinstance(failure, RejectedPositiveData):
        return True
    if {error["code"] for error in response.json().get("errors", [])} == {"overflow"}:
        return False
    patterns = {
        parameter["name"]: parameter["schema"].get("pattern", "")
        for parameter in case.operation.definition.raw.get("parameters", [])
        if parameter["in"] == "header"
    }
    return all(re.search(patterns.get(name, ""), str(value)) for name, value in (case.headers or {}).items())


def _join(body: dict[str, Any]) -> None:
    """Give the nodes ids of their own, and draw the edges forward along them, with the conditions that were there."""
    nodes = [dict(node) for node in body.get("nodes") or [] if isinstance(node, dict)][:20]
    edges = [edge for edge in body.get("edges") or [] if isinstance(edge, dict)]
    if not nodes:
        return
    for place, node in enumerate(nodes):
        node["id"] = f"n{place}"
        if node.get("type") == "delay" and "duration" in node:
            node["duration"] = "PT0S"
    joined = [{"from": f"n{place}", "to": f"n{place + 1}"} for place in range(len(nodes) - 1)]
    for edge, old in zip(joined, edges, strict=False):
        edge["when"] = old.get("when", "true")
    body |= {"nodes": nodes, "edges": joined, "entry_node_id": "n0"}
