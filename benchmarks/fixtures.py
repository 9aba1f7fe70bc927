"""`python -m benchmarks.fixtures`: fills the database of a benchmark; a process of its own, since it needs Django."""

import argparse
import os

import django

# Models can only be imported once Django is set up.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifyflow.settings")
django.setup()

from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from accounts.tokens import AccessToken
from triggers import bells
from triggers.models import Trigger
from workflows.models import WorkflowVersion
from workflows.priorities import Priority
from workflows.services import WorkflowDraft, create_workflow, set_active

WORKFLOW = {
    "entry_node_id": "confirm",
    "nodes": [
        {
            "id": "confirm",
            "type": "email",
            "subject": "Order {{ order.id }}",
            "body": "Hi {{ recipient.name }}, your order {{ order.id }} of {{ order.total }} is on its way.",
        },
        {"id": "text", "type": "sms", "body": "{{ recipient.name }}, order {{ order.id }} arrives today."},
        {
            "id": "feedback",
            "type": "email",
            "subject": "How was it?",
            "body": "Hi {{ recipient.name }}, was everything fine with order {{ order.id }}?",
        },
    ],
    "edges": [{"from": "confirm", "to": "text"}, {"from": "text", "to": "feedback"}],
}
KEY = "three-nodes"
BATCH = 1_000


def make_workflow() -> None:
    """Make the active three-node workflow."""
    draft = WorkflowDraft(key=KEY, name="Three nodes", priority=Priority.MEDIUM, definition=WORKFLOW)
    set_active(create_workflow(draft).pk, is_active=True)


def make_backlog(count: int, prefix: str) -> None:
    """Insert due triggers as the API would have."""
    version = WorkflowVersion.objects.select_related("workflow").get(workflow__key=KEY, number=1)
    for start in range(0, count, BATCH):
        now = timezone.now()
        Trigger.objects.bulk_create(
            Trigger(
                workflow=version.workflow,
                version=version,
                idempotency_key=f"{prefix}-{number}",
                priority=version.workflow.priority,
                available_at=now,
                current_node_id="confirm",
                recipient={"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
                context={"order": {"id": number, "total": 99.9}},
                created_at=now,
                updated_at=now,
            )
            for number in range(start, min(start + BATCH, count))
        )


def ring() -> None:
    """Ring the lane's bell, as an accepted trigger does."""
    bells.ring("medium")


def make_operator() -> str:
    """Make a trigger operator and return an access token of hers."""
    user = User.objects.create_user("operator", "operator@example.org", "unused", role=Role.TRIGGER_OPERATOR)
    return str(AccessToken.of(user))


def main() -> None:
    """Do what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["workflow", "backlog", "ring", "operator"])
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--prefix", default="")
    options = parser.parse_args()
    match options.what:
        case "workflow":
            make_workflow()
        case "backlog":
            make_backlog(options.count, options.prefix)
        case "ring":
            ring()
        case "operator":
            print(make_operator())


if __name__ == "__main__":
    main()
