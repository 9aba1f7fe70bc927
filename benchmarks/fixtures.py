"""`python -m benchmarks.fixtures`: what a benchmark needs Django for; a process of its own."""

import argparse
import json
import os
import time
from datetime import timedelta

import django

# Models can only be imported once Django is set up.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifyflow.settings")
django.setup()

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from accounts.tokens import AccessToken
from benchmarks.same_writes import intent_sql, outcome_sql, trigger_sql
from benchmarks.workflows import WORKFLOWS
from execution.claims import claim_batch, release
from triggers import bells
from triggers.models import Trigger
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority
from workflows.services import WorkflowDraft, create_workflow, set_active


def make_workflows(keys: list[str]) -> None:
    """Make workflows of benchmarks.workflows, active."""
    for key in keys:
        lane, definition = WORKFLOWS[key]
        draft = WorkflowDraft(key=key, name=key, priority=Priority.of_lane(lane), definition=definition)
        set_active(create_workflow(draft).pk, is_active=True)


def make_trigger(key: str) -> str:
    """Insert a trigger as the API would have, due in a year, and return its id: one to make many of."""
    version = WorkflowVersion.objects.select_related("workflow").get(workflow__key=key, number=1)
    now = timezone.now()
    trigger = Trigger.objects.create(
        workflow=version.workflow,
        version=version,
        idempotency_key=f"source-{key}-{now.timestamp()}",
        priority=version.workflow.priority,
        available_at=now + timedelta(days=365),
        current_node_id=version.definition["entry_node_id"],
        recipient={"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"},
        context={"order": {"id": 0, "total": 99.9}},
        created_at=now,
        updated_at=now,
    )
    return str(trigger.pk)


def make_operator() -> str:
    """Make a trigger operator and return an access token of hers."""
    user = User.objects.create_user("operator", "operator@example.org", "unused", role=Role.TRIGGER_OPERATOR)
    return str(AccessToken.of(user))


def peer_sql(key: str) -> str:
    """Return the writes that a peer does, and the workflow that it runs, as JSON."""
    workflow = Workflow.objects.get(key=key)
    sql = {"trigger": trigger_sql(), "intent": intent_sql(workflow), "outcome": outcome_sql()}
    return json.dumps({"sql": sql, "workflow": {"key": key, **WORKFLOWS[key][1]}})


def time_claims(lane: str, count: int) -> str:
    """Claim a batch so many times, each time giving it back, and return the claims' milliseconds as JSON."""
    found = []
    for _ in range(count):
        started = time.perf_counter()
        claim = claim_batch(lane, limit=settings.CLAIM_LIMIT, now=timezone.now())
        found.append((time.perf_counter() - started) * 1000)
        release(claim, claim.trigger_ids, now=timezone.now())
    # The first one connects.
    return json.dumps(found[1:])


def main() -> None:
    """Do what the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["workflows", "trigger", "ring", "operator", "peer-sql", "claims"])
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    match options.what:
        case "workflows":
            make_workflows(options.names)
        case "trigger":
            print(make_trigger(options.names[0]))
        case "ring":
            bells.ring(options.names[0])
        case "operator":
            print(make_operator())
        case "peer-sql":
            print(peer_sql(options.names[0]))
        case "claims":
            print(time_claims(options.names[0], int(options.names[1])))


if __name__ == "__main__":
    main()
