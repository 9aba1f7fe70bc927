"""The permission matrix, cell by cell, as the API's documentation has it."""

import pytest

from accounts.models import User
from accounts.roles import MATRIX, Capability, Role

YES, NO = True, False

# One row a capability; columns: workflowManager, triggerOperator, systemAdmin, workerService.
TABLE = {
    "workflows.manage": (YES, NO, YES, NO),
    "steps.read": (YES, YES, YES, NO),
    "triggers.create": (NO, YES, YES, NO),
    "triggers.manage": (NO, YES, YES, NO),
    "users.manage": (NO, NO, YES, NO),
    "triggers.process": (NO, NO, NO, YES),
    "audit.read": (NO, NO, YES, NO),
}
ROLES = ("workflowManager", "triggerOperator", "systemAdmin", "workerService")
CELLS = [(role, capability, may) for capability, row in TABLE.items() for role, may in zip(ROLES, row, strict=True)]


def test_roles_and_capabilities_are_spelled_as_in_tokens() -> None:
    assert tuple(role.value for role in Role) == ROLES
    assert {capability.value for capability in Capability} == TABLE.keys()


def test_the_matrix_has_every_role() -> None:
    assert MATRIX.keys() == set(Role)


@pytest.mark.parametrize(("role", "capability", "may"), CELLS)
def test_the_matrix_grants_what_the_table_says(role: str, capability: str, may: bool) -> None:
    assert (Capability(capability) in MATRIX[Role(role)]) is may


@pytest.mark.parametrize(("role", "capability", "may"), CELLS)
def test_a_user_may_what_the_role_may(role: str, capability: str, may: bool) -> None:
    assert User(role=role).may({Capability(capability)}) is may


@pytest.mark.parametrize("role", ROLES)
def test_an_inactive_user_may_nothing(role: str) -> None:
    assert User(role=role, is_active=False).capabilities == frozenset()
    assert User(role=role, is_active=False).may(set(Capability)) is False


def test_one_of_several_capabilities_is_enough() -> None:
    operator = User(role=Role.TRIGGER_OPERATOR)

    assert operator.may({Capability.MANAGE_USERS, Capability.READ_STEPS}) is True
    assert operator.may({Capability.MANAGE_USERS, Capability.PROCESS_TRIGGERS}) is False
    assert operator.may(set()) is False
