"""Valid objects with no surprises."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import factory
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from triggers.models import BulkUpload, Trigger
from triggers.states import UploadState
from workflows.models import Workflow, WorkflowVersion

PASSWORD = "correct horse battery staple"

EMAIL = {"id": "mail", "type": "email", "subject": "Order {{ order.id }}", "body": "Hi {{ recipient.name }}"}
DELAY = {"id": "wait", "type": "delay", "duration": "PT24H"}
SMS = {"id": "text", "type": "sms", "body": "Picked up yet, {{ recipient.name }}?"}
ANN = {"name": "Ann", "email": "ann@example.org", "phone": "+14155552671"}


def definition(*nodes: dict[str, Any], edges: Sequence[tuple[str, ...]] | None = None, **more: Any) -> dict[str, Any]:
    """Return a definition of these nodes: a chain in their order, or with edges `(from, to)` or `(from, to, when)`."""
    if edges is None:
        edges = [(a["id"], b["id"]) for a, b in pairwise(nodes)]
    return {
        "entry_node_id": nodes[0]["id"],
        "nodes": list(nodes),
        "edges": [dict(zip(("from", "to", "when"), edge, strict=False)) for edge in edges],
        **more,
    }


class UserFactory(factory.django.DjangoModelFactory[User]):
    """An active user, a system admin unless told otherwise."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user-{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.org")
    role = Role.SYSTEM_ADMIN
    password = factory.django.Password(PASSWORD)


class WorkflowFactory(factory.django.DjangoModelFactory[Workflow]):
    """An active workflow with one version; pass `definition=` for another than a single email."""

    class Meta:
        model = Workflow
        skip_postgeneration_save = True

    key = factory.Sequence(lambda n: f"workflow-{n}")
    name = "A workflow"
    is_active = True

    @factory.post_generation
    def definition(self: Workflow, create: bool, extracted: dict[str, Any] | None, **_: Any) -> None:
        """Store version 1."""
        WorkflowVersion.objects.create(workflow=self, number=1, definition=extracted or definition(EMAIL))


class TriggerFactory(factory.django.DjangoModelFactory[Trigger]):
    """A trigger for Ann that is due now."""

    class Meta:
        model = Trigger

    workflow = factory.SubFactory(WorkflowFactory)
    version = factory.LazyAttribute(lambda trigger: trigger.workflow.versions.get(number=trigger.workflow.version))
    idempotency_key = factory.Sequence(lambda n: f"key-{n}")
    priority = factory.SelfAttribute("workflow.priority")
    available_at = factory.LazyFunction(timezone.now)
    current_node_id = factory.LazyAttribute(lambda trigger: trigger.version.definition["entry_node_id"])
    recipient = factory.LazyFunction(lambda: dict(ANN))
    context = factory.LazyFunction(lambda: {"order": {"id": 17, "total": 99.9}})
    created_at = factory.LazyFunction(timezone.now)
    updated_at = factory.LazyFunction(timezone.now)


class UploadFactory(factory.django.DjangoModelFactory[BulkUpload]):
    """A finished upload of one line, by nobody who is known."""

    class Meta:
        model = BulkUpload

    workflow = factory.SubFactory(WorkflowFactory)
    actor = "shop"
    state = UploadState.FINISHED.value
    lines_read = created = 1
    started_at = factory.LazyFunction(timezone.now)
    updated_at = factory.LazyFunction(timezone.now)
    finished_at = factory.LazyFunction(timezone.now)
