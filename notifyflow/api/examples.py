"""Examples of bodies, by operation and status: what the documentation shows, and what the fuzz begins with. Pure.

Each is tried against the schema of its place (tests/integration/api/test_schema.py).
"""

import json
import re
from typing import Any

ID = "0193e5d2-7a41-7c3e-9f60-2b8d5a1c4e{:02x}"
WORKFLOW_ID, TRIGGER_ID, USER_ID, SERVICE_ID, KEY_ID, LETTER_ID = (ID.format(number) for number in range(6))
NOON = "2026-03-05T12:00:00Z"
LATER = "2026-03-05T12:00:02.417Z"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl"
API_KEY = "nf_k3yV1sib_7Jq0dWmT2xZrP9cLhB4uEfGnYsA6oKtDi"

TOKENS = {"access": JWT, "refresh": JWT}
DEFINITION: dict[str, Any] = {
    "entry_node_id": "mail",
    "nodes": [
        {
            "id": "mail",
            "type": "email",
            "to": "{{ recipient.email }}",
            "subject": "Order {{ order.id }}",
            "body": "Hi {{ recipient.name }}, your order is on its way.",
        },
        {"id": "wait", "type": "delay", "duration": "PT24H"},
        {
            "id": "text",
            "type": "sms",
            "to": "{{ recipient.phone }}",
            "body": "Picked up yet?",
            "retry": {"max_attempts": 5, "intervals_s": [60, 300, 900, 3600]},
            "on_doubt": "hold",
        },
    ],
    "edges": [{"from": "mail", "to": "wait"}, {"from": "wait", "to": "text", "when": "order.total > 10"}],
    "strict_variables": False,
}
WORKFLOW_BODY = {"name": "Order shipped", "priority": "high", **DEFINITION}
WORKFLOW = {
    "id": WORKFLOW_ID,
    "key": "order-shipped",
    "name": "Order shipped",
    "priority": "high",
    "is_active": False,
    "version": 1,
    **DEFINITION,
    "created_at": NOON,
    "updated_at": NOON,
}
ACTIVE = {**WORKFLOW, "is_active": True, "updated_at": LATER}
NEXT_VERSION = {**WORKFLOW, "name": "Order on its way", "version": 2, "updated_at": LATER}
VERSION = {"version": 1, "definition": DEFINITION, "created_at": NOON}

RECIPIENT = {"name": "Ann", "email": "ann@example.org", "phone": "+14155550142"}
CONTEXT = {"order": {"id": 17, "total": 99.9}}
TRIGGER_BODY = {
    "workflow": "order-shipped",
    "idempotency_key": "order-17-shipped",
    "recipient": RECIPIENT,
    "context": CONTEXT,
}
BULK_ITEM = {name: value for name, value in TRIGGER_BODY.items() if name != "workflow"}
BULK_ITEMS = [BULK_ITEM, {**BULK_ITEM, "idempotency_key": "order-18-shipped", "priority": "low"}]
# What an upload is: a trigger a line.
NDJSON = "application/x-ndjson"
LINES = "".join(f"{json.dumps(item)}\n" for item in BULK_ITEMS)
BULK_ACCEPTED = {
    "created": 1,
    "existing": 1,
    "triggers": [
        {"idempotency_key": "order-17-shipped", "id": TRIGGER_ID, "created": True},
        {"idempotency_key": "order-18-shipped", "id": ID.format(24), "created": False},
    ],
}
UPLOAD = {
    "id": ID.format(25),
    "workflow": WORKFLOW_ID,
    "workflow_key": "order-shipped",
    "actor": "shop",
    "request_id": "shop-17",
    "state": "finished",
    "reason": "",
    "lines_read": 3,
    "created": 2,
    "existing": 0,
    "rejected": 1,
    "errors": [{"line": 2, "code": "required", "detail": "This field is required.", "attr": "idempotency_key"}],
    "started_at": NOON,
    "updated_at": LATER,
    "finished_at": LATER,
}
TRIGGER = {
    "id": TRIGGER_ID,
    "workflow": WORKFLOW_ID,
    "workflow_key": "order-shipped",
    "workflow_version": 1,
    "idempotency_key": "order-17-shipped",
    "status": "enqueued",
    "current_node_id": "mail",
    "last_step_status": "",
    "attempts": 0,
    "available_at": NOON,
    "scheduled_at": None,
    "expires_at": None,
    "priority": "high",
    "recipient": RECIPIENT,
    "context": CONTEXT,
    "error": None,
    "failed_nodes": [],
    "created_at": NOON,
    "updated_at": NOON,
    "completed_at": None,
}
COMPLETED = {
    **TRIGGER,
    "status": "completed",
    "current_node_id": "",
    "last_step_status": "succeeded",
    "updated_at": LATER,
    "completed_at": LATER,
}
STEP = {
    "id": ID.format(16),
    "trigger": TRIGGER_ID,
    "node_id": "mail",
    "node_type": "email",
    "attempt": 1,
    "status": "succeeded",
    "provider": "smtp",
    "message_id": f"<{TRIGGER_ID}.mail@notifyflow.example>",
    "output": {"missing_variables": []},
    "error": None,
    "started_at": NOON,
    "finished_at": LATER,
    "duration_ms": 2417,
    "explanation": "",
}
WAITING = {
    **STEP,
    "id": ID.format(17),
    "node_id": "wait",
    "node_type": "delay",
    "status": "waiting",
    "provider": "",
    "message_id": "",
    "output": {},
    "finished_at": None,
    "duration_ms": None,
    "explanation": "Waits.",
}
LETTER = {
    "id": LETTER_ID,
    "state": "open",
    "trigger": TRIGGER_ID,
    "idempotency_key": "order-17-shipped",
    "workflow": WORKFLOW_ID,
    "workflow_key": "order-shipped",
    "workflow_version": 1,
    "node_id": "mail",
    "code": "server_unavailable",
    "failure_class": "exhausted",
    "message": "The server refused the connection.",
    "attempts": 3,
    "destination": "a***@example.org",
    "first_failed_at": NOON,
    "last_failed_at": LATER,
    "redriven_at": None,
    "goes_on_at": None,
    "discarded_at": None,
    "discarded_by": "",
    "discard_reason": "",
}
LETTER_STEP = {name: STEP[name] for name in ("id", "node_id", "attempt", "started_at", "finished_at")}
WHOLE_LETTER = {
    **LETTER,
    "trigger_status": "failed",
    "links": {"trigger": f"/api/v1/triggers/{TRIGGER_ID}/", "steps": f"/api/v1/triggers/{TRIGGER_ID}/steps/"},
    "steps": [{**LETTER_STEP, "status": "failed"}],
}
LETTER_GROUP = {
    **{name: LETTER[name] for name in ("workflow", "workflow_key", "node_id", "code")},
    "count": 17,
    "first_failed_at": NOON,
    "last_failed_at": LATER,
}
LETTERS_DONE = {"count": 1017, "remaining": 17, "last_id": TRIGGER_ID, "refused": [{"code": "not_open", "count": 1}]}
DISCARDED = {"discarded_at": LATER, "discarded_by": "ann", "discard_reason": "The order was canceled."}
USER = {
    "id": USER_ID,
    "username": "ann",
    "email": "ann@example.org",
    "role": "triggerOperator",
    "is_active": True,
    "is_service": False,
    "rate_limit": None,
    "date_joined": NOON,
    "last_login": None,
}
SERVICE = {**USER, "id": SERVICE_ID, "username": "shop", "email": "", "is_service": True}
KEY = {
    "id": KEY_ID,
    "name": "shop, since March",
    "prefix": API_KEY[:11],
    "scopes": ["triggers.create"],
    "created_at": NOON,
    "expires_at": "2027-03-05T12:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}
ME = {
    **{name: USER[name] for name in ("id", "username", "email", "role", "is_active", "is_service")},
    "permissions": ["steps.read", "triggers.create", "triggers.manage"],
}

AUDIT_ENTRY = {
    "id": ID.format(32),
    "at": NOON,
    "actor": {"id": USER_ID, "name": "bea", "role": "workflowManager"},
    "via": "api",
    "api_key_prefix": "",
    "action": "workflow.activated",
    "object": {"type": "workflow", "id": WORKFLOW_ID, "name": "order-shipped"},
    "changes": {"is_active": [False, True]},
    "request_id": ID.format(33),
    "address": "192.0.2.17",
}


def page_of(*rows: dict[str, Any]) -> dict[str, Any]:
    """Return the last page of a list."""
    return {"next": None, "previous": None, "results": list(rows)}


# By operation: the bodies to send, by a word for each.
REQUESTS: dict[str, dict[str, Any]] = {
    "auth_token_create": {"sign in": {"username": "operator", "password": "notifyflow"}},
    "auth_token_refresh_create": {"refresh": {"refresh": JWT}},
    "auth_token_revoke_create": {"sign out": {"refresh": JWT}},
    "users_create": {
        "a person": {
            "username": "ann",
            "email": "ann@example.org",
            "role": "triggerOperator",
            "password": "correct horse battery staple",
        },
        "a machine": {"username": "shop", "role": "triggerOperator", "is_service": True, "scopes": ["triggers.create"]},
    },
    "users_partial_update": {"deactivate": {"is_active": False}, "change the role": {"role": "workflowManager"}},
    "users_keys_create": {
        "a narrow key": {
            "name": "shop, since March",
            "scopes": ["triggers.create"],
            "expires_at": "2027-03-05T12:00:00Z",
        },
        "all that the role grants": {},
    },
    "workflows_create": {"order shipped": WORKFLOW_BODY},
    "workflows_update": {"a new name": {**WORKFLOW_BODY, "name": "Order on its way"}},
    "workflows_partial_update": {"a new name": {"name": "Order on its way"}},
    "workflows_validate_create": {
        "valid": WORKFLOW_BODY,
        "invalid": {**WORKFLOW_BODY, "entry_node_id": "male"},
    },
    "templates_preview_create": {
        "preview": {"source": "Hi {{ recipient.name }}{{ nobody }}", "context": {"recipient": RECIPIENT}}
    },
    "triggers_create": {
        "now": TRIGGER_BODY,
        "worthless in five minutes": {**TRIGGER_BODY, "priority": "critical", "ttl_s": 300},
        "later, in another lane": {**TRIGGER_BODY, "priority": "critical", "scheduled_at": "2026-03-06T09:00:00+01:00"},
    },
    "triggers_bulk_create": {"two of one workflow": {"workflow": "order-shipped", "triggers": BULK_ITEMS}},
    "dead_letters_redrive_create": {"as it started": {}, "on the newest version": {"version": "newest"}},
    "dead_letters_discard_create": {"with a reason": {"reason": "The order was canceled."}},
    "dead_letters_redrive_matching": {
        "preview": {"workflow": "order-shipped", "code": "server_unavailable", "dry_run": True},
        "ten a second": {"workflow": "order-shipped", "node": "mail", "per_second": 10, "limit": 500},
    },
    "dead_letters_discard_matching": {
        "of one kind": {"code": "invalid_address", "failed_before": NOON, "reason": "The list was wrong."}
    },
    "triggers_cancel_matching": {
        "preview": {"workflow": "order-shipped", "dry_run": True},
        "of one workflow": {"workflow": "order-shipped", "created_before": NOON, "statuses": ["enqueued"]},
        "by id": {"ids": [TRIGGER_ID]},
    },
    "triggers_redrive_matching": {
        "of one workflow": {"workflow": "order-shipped", "created_after": NOON},
        "by id": {"ids": [TRIGGER_ID]},
    },
}

# By operation and status: the bodies that answer.
ANSWERS: dict[tuple[str, str], dict[str, Any]] = {
    ("auth_token_create", "200"): {"tokens": TOKENS},
    ("auth_token_refresh_create", "200"): {"tokens": TOKENS},
    ("audit_list", "200"): {"entries": page_of(AUDIT_ENTRY)},
    ("audit_retrieve", "200"): {"an entry": AUDIT_ENTRY},
    ("me_retrieve", "200"): {"an operator": ME},
    ("users_list", "200"): {"users": page_of(USER)},
    ("users_create", "201"): {"a person": USER, "a machine": {**SERVICE, "api_key": API_KEY}},
    ("users_retrieve", "200"): {"a user": USER},
    ("users_partial_update", "200"): {"deactivated": {**USER, "is_active": False}},
    ("users_keys_list", "200"): {"keys": page_of(KEY)},
    ("users_keys_create", "201"): {"a key": {**KEY, "key": API_KEY}},
    ("workflows_list", "200"): {"workflows": page_of(WORKFLOW)},
    ("workflows_create", "201"): {"order shipped": WORKFLOW},
    ("workflows_retrieve", "200"): {"order shipped": WORKFLOW},
    ("workflows_update", "200"): {"the next version": NEXT_VERSION},
    ("workflows_partial_update", "200"): {"the next version": NEXT_VERSION},
    ("workflows_activate_create", "200"): {"active": ACTIVE},
    ("workflows_deactivate_create", "200"): {"inactive": {**WORKFLOW, "updated_at": LATER}},
    ("workflows_validate_create", "200"): {
        "valid": {"valid": True, "errors": []},
        "invalid": {
            "valid": False,
            "errors": [{"code": "unknown_node", "detail": "There is no node 'male'.", "attr": "entry_node_id"}],
        },
    },
    ("workflows_versions_list", "200"): {"versions": page_of(VERSION)},
    ("workflows_versions_read", "200"): {"a version": VERSION},
    ("templates_preview_create", "200"): {"preview": {"text": "Hi Ann", "missing_variables": ["nobody"]}},
    ("triggers_list", "200"): {"triggers": page_of(TRIGGER)},
    ("triggers_create", "202"): {"accepted": TRIGGER},
    ("triggers_create", "200"): {"accepted before, and done by now": COMPLETED},
    ("triggers_bulk_create", "202"): {"all are accepted": BULK_ACCEPTED, "an upload": UPLOAD},
    ("triggers_bulk_list", "200"): {"uploads": page_of(UPLOAD)},
    ("triggers_bulk_retrieve", "200"): {"an upload": UPLOAD},
    ("triggers_retrieve", "200"): {"a trigger": COMPLETED},
    ("triggers_steps_list", "200"): {"steps": page_of(STEP, WAITING)},
    ("triggers_cancel_create", "200"): {
        "canceled": {
            **TRIGGER,
            "status": "canceled",
            "completed_at": LATER,
            "sent": [STEP],
            "in_flight": [],
            "never": ["text"],
        }
    },
    ("triggers_cancel_matching", "200"): {
        "some are left": {"canceled": 1000, "in_flight": 3, "remaining": 17, "last_id": TRIGGER_ID}
    },
    ("triggers_redrive_create", "200"): {"enqueued again": TRIGGER},
    ("triggers_redrive_matching", "200"): {"some are left": {"redriven": 1000, "remaining": 17, "last_id": TRIGGER_ID}},
    ("dead_letters_list", "200"): {"dead letters": page_of(LETTER)},
    ("dead_letters_retrieve", "200"): {"a dead letter": WHOLE_LETTER},
    ("dead_letters_groups", "200"): {"groups": {"groups": [LETTER_GROUP], "counted": 17, "is_complete": True}},
    ("dead_letters_redrive_create", "200"): {
        "redriven": {**WHOLE_LETTER, "state": "redriven", "redriven_at": LATER, "trigger_status": "enqueued"}
    },
    ("dead_letters_discard_create", "200"): {"discarded": {**WHOLE_LETTER, "state": "discarded", **DISCARDED}},
    ("dead_letters_redrive_matching", "200"): {
        "some are left": {**LETTERS_DONE, "redriven": 999, "spread_until": LATER}
    },
    ("dead_letters_discard_matching", "200"): {"some are left": {**LETTERS_DONE, "discarded": 999}},
    ("triggers_process_create", "200"): {"one node further": {**TRIGGER, "last_step_status": "succeeded"}},
    ("steps_list", "200"): {"steps": page_of(STEP)},
    ("steps_retrieve", "200"): {"a step": STEP},
}


def of(operation: str, status: str | None) -> dict[str, Any]:
    """Return the examples of an operation's request, or of its answer with `status`, as OpenAPI has them."""
    found = REQUESTS.get(operation, {}) if status is None else ANSWERS.get((operation, status), {})
    return {re.sub(r"\W+", "-", name): {"summary": name, "value": value} for name, value in found.items()}
