"""Who may do what: the permission matrix, one table (seeds 001 section 3, API.md). Pure.

Everything that grants or denies asks this table: the API, the admin, tokens, `me/`, and the page that
`manage.py permissions` writes.
"""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """The four roles, spelled as clients and tokens spell them."""

    WORKFLOW_MANAGER = "workflowManager"
    TRIGGER_OPERATOR = "triggerOperator"
    SYSTEM_ADMIN = "systemAdmin"
    WORKER_SERVICE = "workerService"


class Capability(StrEnum):
    """What the matrix grants or denies; tokens carry these words as `permissions`."""

    MANAGE_WORKFLOWS = "workflows.manage"
    READ_STEPS = "steps.read"
    CREATE_TRIGGERS = "triggers.create"
    MANAGE_TRIGGERS = "triggers.manage"
    MANAGE_USERS = "users.manage"
    PROCESS_TRIGGERS = "triggers.process"
    READ_AUDIT = "audit.read"


MATRIX: dict[Role, frozenset[Capability]] = {
    Role.WORKFLOW_MANAGER: frozenset({Capability.MANAGE_WORKFLOWS, Capability.READ_STEPS}),
    Role.TRIGGER_OPERATOR: frozenset({Capability.READ_STEPS, Capability.CREATE_TRIGGERS, Capability.MANAGE_TRIGGERS}),
    Role.SYSTEM_ADMIN: frozenset(Capability) - {Capability.PROCESS_TRIGGERS},
    Role.WORKER_SERVICE: frozenset({Capability.PROCESS_TRIGGERS}),
}

# What there are pages for in the admin.
IN_THE_ADMIN = frozenset(
    {
        Capability.MANAGE_WORKFLOWS,
        Capability.READ_STEPS,
        Capability.MANAGE_TRIGGERS,
        Capability.MANAGE_USERS,
        Capability.READ_AUDIT,
    }
)


def may_enter_admin(capabilities: Iterable[Capability]) -> bool:
    """Say whether somebody with these finds a page in the admin; nobody else is let in."""
    return not IN_THE_ADMIN.isdisjoint(capabilities)
