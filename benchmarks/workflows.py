"""The workflows that are measured: each with its lane and its definition."""

from itertools import pairwise
from typing import Any


def _email(node_id: str, **more: Any) -> dict[str, Any]:
    return {
        "id": node_id,
        "type": "email",
        "subject": "Order {{ order.id }}",
        "body": "Hi {{ recipient.name }}, your order {{ order.id }} of {{ order.total }} is on its way.",
        **more,
    }


def _sms(node_id: str, **more: Any) -> dict[str, Any]:
    body = "{{ recipient.name }}, order {{ order.id }} arrives today."
    return {"id": node_id, "type": "sms", "body": body, **more}


def _delay(node_id: str, **length: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "delay", **length}


def _line(*nodes: dict[str, Any]) -> dict[str, Any]:
    edges = [{"from": node["id"], "to": following["id"]} for node, following in pairwise(nodes)]
    return {"entry_node_id": nodes[0]["id"], "nodes": list(nodes), "edges": edges}


THREE = _line(_email("confirm"), _sms("text"), _email("feedback"))
SOON = {"max_attempts": 10, "backoff": {"base_s": 1, "factor": 1, "cap_s": 1}}
JOIN = {
    "entry_node_id": "confirm",
    "nodes": [_email("confirm"), _sms("text"), _email("receipt"), _email("feedback")],
    "edges": [
        {"from": "confirm", "to": "text"},
        {"from": "confirm", "to": "receipt"},
        {"from": "text", "to": "feedback"},
        {"from": "receipt", "to": "feedback"},
    ],
}

WORKFLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "three-nodes": ("medium", THREE),
    "low": ("low", THREE),
    "critical": ("critical", _line(_sms("text"))),
    "delay": ("medium", _line(_email("confirm"), _delay("wait", delay_ms=1000), _sms("text"))),
    "join": ("medium", JOIN),
    "retry": ("medium", _line(_email("confirm", retry=SOON), _sms("text"), _email("feedback", retry=SOON))),
    "tomorrow": (
        "medium",
        _line(_email("confirm"), _delay("wait", duration="PT24H"), _sms("text")),
    ),
    "one-email": ("medium", _line(_email("confirm"))),
    "one-sms": ("medium", _line(_sms("text"))),
}
