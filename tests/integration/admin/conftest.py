"""Signed-in browsers for the admin, and rows as the engine leaves them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.roles import Role
from execution.dead_letters import dead_letter
from execution.models import Step
from tests.factories import TriggerFactory, UserFactory
from triggers.models import Trigger


@pytest.fixture
def signed_in() -> Callable[..., Client]:
    """Return a maker of clients signed in to the admin with a role; further arguments are the user's fields."""

    def make(role: Role, **fields: Any) -> Client:
        client = Client()
        client.force_login(UserFactory(role=role, **fields))
        return client

    return make


@pytest.fixture
def console(signed_in: Callable[..., Client]) -> Client:
    """Return a client signed in as a system admin."""
    return signed_in(Role.SYSTEM_ADMIN)


def step(trigger: Trigger, node_id: str = "mail", status: str = "succeeded", **fields: Any) -> Step:
    """Store a step of a trigger, finished now unless it is under way."""
    now = timezone.now()
    return Step.objects.create(
        **{
            "trigger": trigger,
            "workflow": trigger.workflow,
            "node_id": node_id,
            "node_type": "email",
            "attempt": 1,
            "status": status,
            "provider": "smtp",
            "started_at": now - timedelta(milliseconds=250),
            "finished_at": None if status in ("running", "waiting") else now,
            **fields,
        }
    )


def failed_trigger(**fields: Any) -> Trigger:
    """Store a trigger that failed at its only node, with its step, error and dead letter."""
    now = timezone.now()
    error = {"code": "invalid_address", "message": "this is not an email address", "is_transient": False}
    trigger = TriggerFactory(
        **{
            "status": "failed",
            "completed_at": now,
            "error": {**error, "node_id": "mail"},
            "attempts": 1,
            "run_state": {"ended": {"mail": "failed"}, "edges": {}, "ready": {}},
            **fields,
        }
    )
    step(trigger, status="failed", error=error)
    dead_letter(
        trigger, "mail", error, attempts=1, first_failed_at=now, last_failed_at=now, destination="ann.o@example.org"
    ).save()
    return trigger


def said(response: Any) -> str:
    """Return the page's text as the browser gets it, once redirects are followed."""
    return str(response.content.decode())


def told(response: Any) -> list[str]:
    """Return the messages that the page shows, in order."""
    return [str(message) for message in response.context["messages"]]
