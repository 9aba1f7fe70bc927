"""Which capability a view asks for, and who gets past."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from accounts.permissions import HasCapability, IsSignedIn, needed_capability
from accounts.roles import Capability, Role

MANAGE, READ = Capability.MANAGE_WORKFLOWS, Capability.READ_STEPS
EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def view(**attributes: object) -> Any:
    return SimpleNamespace(allowed_methods=["GET", "POST"], **attributes)


def request(user: object, method: str = "GET") -> Any:
    return SimpleNamespace(user=user, method=method)


@pytest.mark.parametrize(
    ("attributes", "method", "needed"),
    [
        ({"capability": MANAGE}, "GET", MANAGE),
        ({"capability": MANAGE, "action": "list"}, "POST", MANAGE),
        ({"capability": {"list": READ, "create": MANAGE}, "action": "list"}, "GET", READ),
        ({"capability": {"list": READ, "create": MANAGE}, "action": "create"}, "POST", MANAGE),
        ({"capability": {"list": READ}, "action": "destroy"}, "DELETE", None),
        ({"capability": {"list": READ}, "action": None}, "DELETE", None),
        ({"capability": {"get": READ, "post": MANAGE}}, "POST", MANAGE),
        ({"capability": {"get": READ}}, "PUT", None),
        ({"capability": "workflows.manage-typo"}, "GET", None),
        ({"capability": None}, "GET", None),
        ({}, "GET", None),
    ],
)
def test_a_view_needs_the_capability_of_its_action_or_method(
    attributes: dict[str, object], method: str, needed: Capability | None
) -> None:
    assert needed_capability(view(**attributes), method) == needed


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("capability", list(Capability))
def test_a_view_is_open_to_whom_the_matrix_grants_it(role: Role, capability: Capability) -> None:
    user = User(role=role)

    may = HasCapability().has_permission(request(user), view(capability=capability))

    assert may is user.may({capability})


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_view_that_names_no_capability_is_closed(role: Role, method: str) -> None:
    assert HasCapability().has_permission(request(User(role=role), method), view()) is False


def test_a_method_that_the_view_lacks_is_left_to_be_refused_as_such() -> None:
    assert HasCapability().has_permission(request(User(role=Role.SYSTEM_ADMIN), "PUT"), view(capability={})) is True


def test_a_method_that_the_view_lacks_is_still_closed_to_whom_the_view_is_closed() -> None:
    operator = User(role=Role.TRIGGER_OPERATOR)

    assert HasCapability().has_permission(request(operator, "PUT"), view(capability=MANAGE)) is False


@pytest.mark.parametrize(("method", "may"), [("GET", True), ("POST", False)])
def test_each_method_of_a_view_may_need_another_capability(method: str, may: bool) -> None:
    operator = User(role=Role.TRIGGER_OPERATOR)
    both = view(capability={"get": READ, "post": MANAGE})

    assert HasCapability().has_permission(request(operator, method), both) is may


@pytest.mark.parametrize(
    ("attributes", "may"),
    [
        ({"capability": READ}, True),
        ({"capability": MANAGE}, False),
        ({"capability": {"list": MANAGE, "create": READ}, "action": "metadata"}, True),
        ({"capability": {"list": MANAGE}, "action": "metadata"}, False),
        ({"capability": "steps.read-typo"}, False),
        ({}, False),
    ],
)
def test_whoever_may_do_something_with_a_view_may_ask_what(attributes: dict[str, object], may: bool) -> None:
    operator = User(role=Role.TRIGGER_OPERATOR)

    assert HasCapability().has_permission(request(operator, "OPTIONS"), view(**attributes)) is may


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_nobody_gets_past_without_signing_in(method: str) -> None:
    for user in (AnonymousUser(), None):
        assert HasCapability().has_permission(request(user, method), view(capability=MANAGE)) is False
        assert IsSignedIn().has_permission(request(user, method), view()) is False


@pytest.mark.parametrize("role", list(Role))
def test_whoever_is_signed_in_is_so_whatever_the_role(role: Role) -> None:
    assert IsSignedIn().has_permission(request(User(role=role)), view()) is True
