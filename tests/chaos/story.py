"""What is triggered in a round: a workflow with a branch, a delay, retries and a join."""

from typing import Any

WORKFLOW_KEY = "order-shipped"
DELAY_MS = 1_500
RETRY_CAP_SECONDS = 5
RETRY = {"max_attempts": 15, "backoff": {"base_s": 1, "factor": 1.5, "cap_s": RETRY_CAP_SECONDS}}
# Every message carries `<trigger id>.<node id>`: an email as its Message-ID, an SMS in its text.
SMS = "{{ trigger.id }}."
WORKFLOW: dict[str, Any] = {
    "key": WORKFLOW_KEY,
    "name": "Order shipped",
    "entry_node_id": "confirm",
    "nodes": [
        {"id": "confirm", "type": "email", "subject": "Order {{ order.id }}", "body": "Hi Ann", "retry": RETRY},
        {"id": "wait", "type": "delay", "delay_ms": DELAY_MS},
        {"id": "text", "type": "sms", "body": f"{SMS}text arrives today", "retry": RETRY, "on_doubt": "hold"},
        {"id": "offer", "type": "sms", "body": f"{SMS}offer for you", "retry": RETRY},
        {"id": "feedback", "type": "email", "subject": "How was it?", "body": "Tell us", "retry": RETRY},
    ],
    "edges": [
        {"from": "confirm", "to": "wait"},
        {"from": "confirm", "to": "offer", "when": "order.total >= 50"},
        {"from": "wait", "to": "text"},
        {"from": "text", "to": "feedback"},
        {"from": "offer", "to": "feedback"},
    ],
}
NODES = ("confirm", "wait", "text", "offer", "feedback")
MESSAGES = ("confirm", "text", "offer", "feedback")
HELD = frozenset({"text"})
PRIORITIES = ("high", "medium", "low", "critical")


def key_of(number: int) -> str:
    """Return the idempotency key of a trigger."""
    return f"order-{number}"


def has_offer(key: str) -> bool:
    """Say whether this trigger takes the branch with the offer."""
    return _total(int(key.rpartition("-")[2])) >= 50


def body_of(number: int) -> dict[str, object]:
    """Return what a client asks for."""
    return {
        "workflow": WORKFLOW_KEY,
        "idempotency_key": key_of(number),
        "priority": PRIORITIES[number % len(PRIORITIES)],
        "recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
        "context": {"order": {"id": number, "total": _total(number)}},
    }


def _total(number: int) -> int:
    return number * 7 % 100
