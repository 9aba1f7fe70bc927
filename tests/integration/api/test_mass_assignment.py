"""Fields that are the server's alone, smuggled into every body: refused by name, or as if they had not been sent."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import transaction

from accounts.models import User
from accounts.roles import Role
from tests.factories import EMAIL, UserFactory, definition
from tests.integration.api.answers import call, errors_of, signed_in
from tests.integration.api.test_permissions import MATRIX, World, client_of
from tests.integration.rows import changed, every_row
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

ID = "01900000-0000-7000-8000-00000000beef"
LONG_AGO = "2001-02-03T04:05:06Z"
HASH = "md5$smuggled$0123456789abcdef0123456789abcdef"
SMUGGLED: dict[str, Any] = {
    "id": ID,
    "pk": ID,
    "role": "systemAdmin",
    "permissions": ["users.manage"],
    "capabilities": ["users.manage"],
    "scopes": ["users.manage"],
    "is_staff": True,
    "is_superuser": True,
    "is_service": True,
    "is_active": True,
    "groups": [1],
    "user_permissions": [1],
    "password": HASH,
    "password_hash": HASH,
    "digest": "f" * 64,
    "prefix": "nf_smuggled",
    "date_joined": LONG_AGO,
    "last_login": LONG_AGO,
    "rate_limit": 1234577711,
    "user": ID,
    "user_id": ID,
    "version": 1234577711,
    "number": 1234577711,
    "status": "completed",
    "created_at": LONG_AGO,
    "updated_at": LONG_AGO,
    "deleted_at": LONG_AGO,
    "completed_at": LONG_AGO,
    "available_at": LONG_AGO,
    "lease_expires_at": LONG_AGO,
    "revoked_at": LONG_AGO,
    "last_used_at": LONG_AGO,
    "claim_id": ID,
    "run_state": {"ended": {"mail": "succeeded"}},
    "attempts": 1234577711,
    "current_node_id": "smuggled",
    "workflow_id": ID,
    "workflow_version": 1234577711,
    "payload_hash": "smuggled",
    "_state": {"adding": False},
    "__class__": "User",
    "__proto__": {"is_staff": True},
    "constructor": {"prototype": {"is_staff": True}},
    "is_staff__exact": True,
    "user.is_staff": True,
    "$set": {"role": "systemAdmin"},
}
# What a body may say of these itself.
OWN: dict[str, set[str]] = {
    "user-list": {"role", "password", "is_active", "is_service", "rate_limit", "scopes"},
    "user-detail": {"role", "password", "is_active", "rate_limit"},
    "user-keys": {"scopes"},
    "token": {"password"},
    "dead-letter-redrive": {"version"},
    "dead-letter-redrive-matching": {"version"},
}
# What no two calls write alike; a smuggled value is looked for there as well.
EACH_TIME = {"password", "digest", "prefix", "current", "request_id", "id", "object_name"}
MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+|\b\d+\.\d+\b")
CALLS = [(name, method) for name, method in MATRIX if method != "GET"]


def traces(value: Any) -> Iterator[Any]:
    """Give the values of all rows, with those that differ from run to run only by their kind."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from traces("another each time" if name in EACH_TIME else item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from traces(item)
    elif isinstance(value, datetime | UUID):
        yield type(value)
    elif isinstance(value, str):
        yield MADE.sub("made", value)
    else:
        yield value


def is_smuggled(rows: dict[str, list[Any]]) -> bool:
    """Say whether anything in the database holds what was smuggled."""
    held = repr(rows)
    return any(mark in held for mark in (ID, "2001, 2, 3", LONG_AGO, HASH, "smuggled", "1234577711", "f" * 64))


@pytest.mark.parametrize(("name", "method"), CALLS)
def test_no_call_takes_what_is_not_its_own(name: str, method: str) -> None:
    world = World()
    client = client_of(Role.WORKER_SERVICE if Role.SYSTEM_ADMIN not in MATRIX[name, method] else Role.SYSTEM_ADMIN)
    body, url = world.bodies.get((name, method), {}), world.url(name)
    before = every_row()
    with transaction.atomic():
        plain = call(client, method, url, body)
        assert plain.status_code < 300
        wanted = list(traces(every_row()))
        transaction.set_rollback(True)

    smuggled = {field: SMUGGLED[field] for field in SMUGGLED if field not in body.keys() | OWN.get(name, set())}
    with transaction.atomic():
        refused = call(client, method, url, {**body, **smuggled})
        transaction.set_rollback(refused.status_code < 300)
    if refused.status_code >= 400:
        assert {code for _, code in errors_of(refused)} <= {"unknown_field", "read_only"}
        smuggled = {field: smuggled[field] for field in smuggled.keys() - {attr for attr, _ in errors_of(refused)}}
        assert changed(before) == set()
    cache.clear()  # nothing of this is about how often somebody asks
    with transaction.atomic():
        assert call(client, method, url, {**body, **smuggled}).status_code == plain.status_code
        after = every_row()
        assert [pair for pair in zip(traces(after), wanted, strict=True) if pair[0] != pair[1]] == []
        assert not is_smuggled(after)
        transaction.set_rollback(True)


@pytest.mark.parametrize("field", [*SMUGGLED, "html", "url", "provider", "from"])
def test_no_node_takes_what_is_not_its_own(field: str) -> None:
    dag = definition({**EMAIL, field: SMUGGLED.get(field, "x")} if field != "id" else {**EMAIL, "ID": "x"})

    answer = call(client_of(Role.WORKFLOW_MANAGER), "POST", "workflows/", {"name": "New", **dag})

    assert answer.status_code == 400
    assert {code for _, code in errors_of(answer)} == {"unknown_field"}
    assert Workflow.objects.count() == 0


@pytest.mark.parametrize("role", [Role.WORKFLOW_MANAGER, Role.TRIGGER_OPERATOR, Role.WORKER_SERVICE])
def test_nobody_raises_their_own_role(role: Role) -> None:
    user = UserFactory(role=role)
    client = signed_in(user)

    answers = [
        call(client, method, path, {"role": "systemAdmin", "is_superuser": True})
        for path in (f"users/{user.pk}/", "me/", "users/", "users/me/")
        for method in ("PATCH", "PUT", "POST")
    ]

    assert {answer.status_code for answer in answers} <= {403, 404, 405}
    assert User.objects.values_list("role", "is_superuser").get() == (role, False)
