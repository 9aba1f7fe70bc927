"""Who may do what: the permission matrix, one table (seeds 001 section 3, API.md). Pure."""

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
