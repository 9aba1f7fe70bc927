"""Invariant 10: nobody does through the API what the permission matrix denies. Cell by cell, as API.md has it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.api_keys import create_key
from accounts.audit import SYSTEM, Action, entry_of
from accounts.models import User
from accounts.roles import Capability, Role
from accounts.sessions import begin_session
from execution.runner import advance_lane
from tests.factories import ANN, PASSWORD, TriggerFactory, UploadFactory, UserFactory, WorkflowFactory, definition
from tests.integration.api.answers import call, errors_of, signed_in, stranger
from triggers.models import BulkUpload, Trigger

pytestmark = pytest.mark.django_db

MANAGER, OPERATOR, ADMIN, WORKER = Role
EVERYBODY = frozenset({"anonymous", *Role})
SIGNED_IN = frozenset(Role)
WORKFLOWS = frozenset({MANAGER, ADMIN})
STEP_LOGS = frozenset({MANAGER, OPERATOR, ADMIN})
TRIGGERS = frozenset({OPERATOR, ADMIN})
USERS = frozenset({ADMIN})

# Every route and method, and who may call it. What is not written here must not exist.
MATRIX: dict[tuple[str, str], frozenset[str]] = {
    ("token", "POST"): EVERYBODY,
    ("token-refresh", "POST"): EVERYBODY,
    ("token-revoke", "POST"): EVERYBODY,
    ("me", "GET"): SIGNED_IN,
    ("user-list", "GET"): USERS,
    ("user-list", "POST"): USERS,
    ("user-detail", "GET"): USERS,
    ("user-detail", "PATCH"): USERS,
    ("user-keys", "GET"): USERS,
    ("user-keys", "POST"): USERS,
    ("user-key", "DELETE"): USERS,
    ("workflow-list", "GET"): WORKFLOWS,
    ("workflow-list", "POST"): WORKFLOWS,
    ("workflow-detail", "GET"): WORKFLOWS,
    ("workflow-detail", "PUT"): WORKFLOWS,
    ("workflow-detail", "PATCH"): WORKFLOWS,
    ("workflow-detail", "DELETE"): WORKFLOWS,
    ("workflow-activate", "POST"): WORKFLOWS,
    ("workflow-deactivate", "POST"): WORKFLOWS,
    ("workflow-validate", "POST"): WORKFLOWS,
    ("workflow-versions", "GET"): WORKFLOWS,
    ("workflow-version", "GET"): WORKFLOWS,
    ("template-preview", "POST"): WORKFLOWS,
    ("trigger-list", "GET"): TRIGGERS,
    ("trigger-list", "POST"): TRIGGERS,
    ("trigger-bulk", "GET"): TRIGGERS,
    ("trigger-bulk", "POST"): TRIGGERS,
    ("trigger-bulk-detail", "GET"): TRIGGERS,
    ("trigger-detail", "GET"): TRIGGERS,
    ("trigger-cancel", "POST"): TRIGGERS,
    ("trigger-cancel-matching", "POST"): TRIGGERS,
    ("trigger-redrive", "POST"): TRIGGERS,
    ("trigger-redrive-matching", "POST"): TRIGGERS,
    ("trigger-steps", "GET"): STEP_LOGS,
    ("step-list", "GET"): STEP_LOGS,
    ("step-detail", "GET"): STEP_LOGS,
    ("dead-letter-list", "GET"): TRIGGERS,
    ("dead-letter-groups", "GET"): TRIGGERS,
    ("dead-letter-detail", "GET"): TRIGGERS,
    ("dead-letter-redrive", "POST"): TRIGGERS,
    ("dead-letter-discard", "POST"): TRIGGERS,
    ("dead-letter-redrive-matching", "POST"): TRIGGERS,
    ("dead-letter-discard-matching", "POST"): TRIGGERS,
    ("trigger-process", "POST"): frozenset({WORKER}),
    ("audit-list", "GET"): USERS,
    ("audit-detail", "GET"): USERS,
    ("schema", "GET"): EVERYBODY,
    ("docs", "GET"): EVERYBODY,
}
# Routes of another kind: no data behind them, or pages with guards and tests of their own.
ELSEWHERE = {"", "healthz", "readyz", "admin"}
WHO = [*Role, "anonymous", "inactive"]
KEYS = [f"{role} by key" for role in Role]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class World:
    """One object of each kind, and a body for each call that needs one."""

    def __init__(self) -> None:
        self.user = UserFactory(username="ann", role=OPERATOR)
        self.robot = UserFactory(username="robot", role=OPERATOR, is_service=True)
        self.key, _ = create_key(self.robot, by=SYSTEM)
        self.idle = WorkflowFactory(key="idle")
        # The provider refuses this address for good, so that there is a failed trigger with a step.
        self.failed = TriggerFactory(recipient={"email": "nobody"})
        advance_lane("medium")
        self.waiting = TriggerFactory()
        self.entry = entry_of(SYSTEM, Action.TRIGGER_CREATED, object_type="trigger", object_id=self.waiting.pk)
        self.entry.save()
        self.upload = UploadFactory()
        dag = definition({"id": "mail", "type": "email", "subject": "New", "body": "New"})
        tokens = {"refresh": begin_session(self.user, by=SYSTEM).refresh}
        self.bodies: dict[tuple[str, str], Any] = {
            ("token", "POST"): {"username": "ann", "password": PASSWORD},
            ("token-refresh", "POST"): tokens,
            ("token-revoke", "POST"): tokens,
            ("user-list", "POST"): {"username": "bea", "role": WORKER, "password": PASSWORD},
            ("user-detail", "PATCH"): {"role": ADMIN},
            ("workflow-list", "POST"): {"name": "New", **dag},
            ("workflow-detail", "PUT"): {"name": "New", **dag},
            ("workflow-detail", "PATCH"): {"name": "New"},
            ("workflow-validate", "POST"): {"name": "New", **dag},
            ("template-preview", "POST"): {"source": "{{ a }}"},
            ("trigger-list", "POST"): {"workflow": self.waiting.workflow.key, "idempotency_key": "k", "recipient": ANN},
            ("trigger-bulk", "POST"): {
                "workflow": self.waiting.workflow.key,
                "triggers": [{"idempotency_key": "k", "recipient": ANN}],
            },
            ("trigger-cancel-matching", "POST"): {"workflow": self.waiting.workflow.key},
            ("trigger-redrive-matching", "POST"): {"workflow": self.failed.workflow.key},
            ("dead-letter-redrive-matching", "POST"): {"workflow": self.failed.workflow.key},
            ("dead-letter-discard-matching", "POST"): {"workflow": self.failed.workflow.key, "reason": "Wrong list."},
            ("dead-letter-discard", "POST"): {"reason": "Wrong address."},
        }

    def url(self, name: str) -> str:
        """Return the address of a route, of the object that the call is about."""
        letter = {"pk": self.failed.dead_letters.get().pk}
        of: dict[str, Any] = {
            "user-detail": {"pk": self.user.pk},
            "trigger-redrive": {"pk": self.failed.pk},
            "dead-letter-detail": letter,
            "dead-letter-redrive": letter,
            "dead-letter-discard": letter,
            "trigger-steps": {"pk": self.failed.pk},
            "step-detail": {"pk": self.failed.steps.get().pk},
            "workflow-version": {"id": "idle", "number": 1},
            "trigger-bulk-detail": {"pk": self.upload.pk},
            "trigger-detail": {"pk": self.waiting.pk},
            "trigger-cancel": {"pk": self.waiting.pk},
            "trigger-process": {"pk": self.waiting.pk},
            "user-keys": {"user_id": self.robot.pk},
            "user-key": {"user_id": self.robot.pk, "pk": self.key.pk},
            "audit-detail": {"pk": self.entry.pk},
        }
        if name in ("workflow-list", "workflow-validate"):
            return reverse(name)
        return reverse(name, kwargs=of.get(name, {"id": "idle"} if name.startswith("workflow-") else {}))

    def call(self, client: Client, name: str, method: str) -> Any:
        """Make a call."""
        return call(client, method, self.url(name), self.bodies.get((name, method), {}))


@pytest.fixture
def world() -> World:
    """Return one object of each kind."""
    return World()


def client_of(who: str) -> Client:
    """Return a client of a role, of `inactive` (an admin who was deactivated since), or of `anonymous`."""
    if who == "anonymous":
        return stranger()
    if who in KEYS:
        return client_by_key(Role(who.partition(" ")[0]))
    user = UserFactory(role=ADMIN if who == "inactive" else who)
    client = signed_in(user)
    User.objects.filter(pk=user.pk).update(is_active=who != "inactive")
    return client


def client_by_key(role: Role, scopes: frozenset[Capability] | None = None) -> Client:
    """Return a client of a service account, whose key has been used lately, which is noted once a minute."""
    _, text = create_key(UserFactory(role=role, is_service=True), scopes=scopes, by=SYSTEM)
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {text}"})
    call(client, "GET", "me/")
    return client


def scope_of(name: str, method: str) -> Capability:
    """Return the one scope that opens a call."""
    if name in ("trigger-steps", "trigger-process"):
        return Capability.READ_STEPS if name == "trigger-steps" else Capability.PROCESS_TRIGGERS
    if (name, method) == ("trigger-list", "POST") or name.startswith("trigger-bulk"):
        return Capability.CREATE_TRIGGERS
    return {
        "user": Capability.MANAGE_USERS,
        "workflow": Capability.MANAGE_WORKFLOWS,
        "dead": Capability.MANAGE_TRIGGERS,
        "template": Capability.MANAGE_WORKFLOWS,
        "trigger": Capability.MANAGE_TRIGGERS,
        "step": Capability.READ_STEPS,
        "audit": Capability.READ_AUDIT,
    }[name.partition("-")[0]]


def everything() -> dict[str, list[Any]]:
    """Return every row of the project's own tables."""
    own = ("accounts", "workflows", "triggers", "execution")
    models = [model for label in own for model in apps.get_app_config(label).get_models()]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def routes() -> Iterator[tuple[str, set[str]]]:
    """Give each route of the URL conf with the methods that it answers, by name; a whole namespace by its own."""
    yield from _routes(get_resolver().url_patterns)


def _routes(patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, set[str]]]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name or "", _methods(pattern.callback)
        elif pattern.namespace:
            yield pattern.namespace, set()
        else:
            yield from _routes(pattern.url_patterns)


def _methods(view: Any) -> set[str]:
    if hasattr(view, "actions"):
        return {method.upper() for method in view.actions if method in view.cls.http_method_names} & set(METHODS)
    return {method for method in METHODS if hasattr(getattr(view, "view_class", None), method.lower())}


def test_every_route_and_method_is_in_the_matrix() -> None:
    found = {(name, method) for name, methods in routes() if name not in ELSEWHERE for method in methods}

    assert found == set(MATRIX)
    assert {name for name, _ in routes()} - ELSEWHERE == {name for name, _ in MATRIX}


@pytest.mark.parametrize(("name", "method"), MATRIX)
def test_each_call_is_open_to_whom_the_matrix_names_and_to_nobody_else(world: World, name: str, method: str) -> None:
    """Invariant 10. What is denied changes nothing."""
    may = MATRIX[name, method]
    clients = {who: client_of(who) for who in (*WHO, *KEYS)}
    before = everything()
    for who, client in clients.items():
        cache.clear()  # nothing of this is about how often somebody asks
        with transaction.atomic():
            answer = world.call(client, name, method)
            # A call that is open to everybody doesn't ask for a token, be it a bad one.
            if who.removesuffix(" by key") in may or may == EVERYBODY:
                assert (who, answer.status_code // 100) == (who, 2)
                transaction.set_rollback(True)
            else:
                expected = 401 if who in ("anonymous", "inactive") else 403
                assert (who, answer.status_code) == (who, expected)
                assert [attr for attr, _ in errors_of(answer)] == [None]
        assert everything() == before


@pytest.mark.parametrize("scope", [None, *(each for each in Capability if each != Capability.MANAGE_USERS)])
def test_a_key_opens_what_its_one_scope_opens_and_nothing_else(world: World, scope: Capability | None) -> None:
    """Not even what its role could do; without a scope, nothing at all."""
    role = WORKER if scope == Capability.PROCESS_TRIGGERS else ADMIN
    client = client_by_key(role, frozenset({scope} if scope else ()))
    # An upload is shown to whoever made it, and to those who manage triggers.
    BulkUpload.objects.update(actor_id=User.objects.filter(is_service=True).latest("pk").pk)
    before = everything()

    assert call(client, "GET", "me/").json()["permissions"] == ([scope] if scope else [])
    for (name, method), may in MATRIX.items():
        if may not in (EVERYBODY, SIGNED_IN):
            cache.clear()
            with transaction.atomic():
                status = world.call(client, name, method).status_code
                transaction.set_rollback(True)
            expected = scope == scope_of(name, method)
            assert (name, method, status // 100) == (name, method, 2 if expected else 4)
            assert expected or status == 403
    assert everything() == before


def test_a_key_never_grants_more_than_its_account_s_role_does_now(world: World) -> None:
    client = client_by_key(OPERATOR, frozenset({Capability.READ_STEPS, Capability.MANAGE_TRIGGERS}))
    User.objects.filter(is_service=True).exclude(pk=world.robot.pk).update(role=MANAGER)

    assert [call(client, "GET", path).status_code for path in ("steps/", "triggers/", "workflows/")] == [200, 403, 403]


@pytest.mark.parametrize("who", WHO)
def test_head_and_options_tell_nobody_more(world: World, who: str) -> None:
    client = client_of(who)
    denied = 401 if who in ("anonymous", "inactive") else 403
    for (name, method), may in MATRIX.items():
        if method == "GET":
            statuses = [world.call(client, name, same).status_code for same in ("HEAD", "GET")]
            assert statuses[0] == statuses[1]
        if may != EVERYBODY:
            anyone = {somebody for (other, _), those in MATRIX.items() if other == name for somebody in those}
            assert world.call(client, name, "OPTIONS").status_code == (200 if who in anyone else denied)


@pytest.mark.parametrize("role", [MANAGER, OPERATOR, WORKER])
def test_a_role_that_was_taken_away_counts_at_once(world: World, role: Role) -> None:
    """The token still says systemAdmin; it is refused, and the next one says what is so now."""
    user = UserFactory(role=ADMIN)
    client = signed_in(user)
    User.objects.filter(pk=user.pk).update(role=role)

    assert call(client, "GET", "users/").status_code == 401
    user.refresh_from_db()
    assert [call(signed_in(user), "GET", path).status_code for path in ("users/", "me/")] == [403, 200]


def test_nobody_is_let_in_by_a_session(world: World) -> None:
    """The admin's cookie is none of the API's: another site could make a browser send it along."""
    client = stranger()
    client.force_login(UserFactory(role=ADMIN))

    assert call(client, "POST", f"triggers/{world.waiting.pk}/cancel/").status_code == 401
    assert Trigger.objects.get(pk=world.waiting.pk).status == "enqueued"
