"""What the embedded service shows a newcomer: four users, one workflow with a branch and a join, one trigger."""

from typing import Any

from accounts.models import User
from accounts.roles import Role
from accounts.tokens import AccessToken
from workflows.models import Workflow
from workflows.priorities import Priority
from workflows.services import WorkflowDraft, create_workflow, set_active

DEFAULT_PASSWORD = "notifyflow"  # noqa: S105  # printed on every start while somebody has it
USERS = {
    "manager": Role.WORKFLOW_MANAGER,
    "operator": Role.TRIGGER_OPERATOR,
    "admin": Role.SYSTEM_ADMIN,
    "worker": Role.WORKER_SERVICE,
}
TRIGGERED_BY = "operator"
WORKFLOW_KEY = "order-shipped"
DEFINITION: dict[str, Any] = {
    "entry_node_id": "confirm",
    "nodes": [
        {
            "id": "confirm",
            "type": "email",
            "subject": "Order {{ order.id }} is on its way",
            "body": "Hi {{ recipient.name }},\n\nyour order of {{ order.total }} has left our house.",
            "html_body": "<p>Hi {{ recipient.name }},</p><p>your order of {{ order.total }} has left our house.</p>",
        },
        {"id": "wait", "type": "delay", "duration": "PT2S"},
        {"id": "text", "type": "sms", "body": "{{ recipient.name }}, order {{ order.id }} arrives today."},
        {
            "id": "offer",
            "type": "email",
            "subject": "Thank you for a large order",
            "body": "{{ recipient.name }}, the next delivery is free.",
        },
        {
            "id": "feedback",
            "type": "email",
            "subject": "How was it?",
            "body": "Hi {{ recipient.name }}, was everything fine with order {{ order.id }}?",
        },
    ],
    "edges": [
        {"from": "confirm", "to": "wait"},
        {"from": "confirm", "to": "offer", "when": "order.total >= 50"},
        {"from": "wait", "to": "text", "when": "recipient.phone"},
        {"from": "text", "to": "feedback"},
        {"from": "offer", "to": "feedback"},
    ],
}
TRIGGER: dict[str, Any] = {
    "workflow": WORKFLOW_KEY,
    # 555-0100 to 555-0199 are kept for fiction: the number is nobody's.
    "recipient": {"name": "Ann", "email": "ann@example.org", "phone": "+14155550142"},
    "context": {"order": {"id": 17, "total": 99.9}},
}


def seed(*, password: str | None) -> None:
    """Make the demo users and the example workflow where they are missing.

    A `password` becomes the one of all demo users; with None new ones get the default and the others keep theirs.
    """
    for username, role in USERS.items():
        user = User.objects.filter(username=username).first()
        if user is None:
            User.objects.create_user(username, f"{username}@example.org", password or DEFAULT_PASSWORD, role=role)
        elif password and not user.check_password(password):
            user.set_password(password)
            user.save()
    if not Workflow.objects.filter(key=WORKFLOW_KEY).exists():
        draft = WorkflowDraft(key=WORKFLOW_KEY, name="Order shipped", priority=Priority.HIGH, definition=DEFINITION)
        set_active(create_workflow(draft).pk, is_active=True)


def with_own_password() -> list[str]:
    """Return the demo users whose password is not the default one."""
    users = {user.username: user for user in User.objects.filter(username__in=USERS)}
    return [name for name in USERS if not users[name].check_password(DEFAULT_PASSWORD)]


def access_token() -> str:
    """Return a token of the user who triggers the example; their password may be anything by now."""
    return str(AccessToken.of(User.objects.get(username=TRIGGERED_BY)))
