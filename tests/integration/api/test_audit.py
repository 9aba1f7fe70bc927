"""The audit trail: each deed has exactly one entry, nothing else has one, and nothing takes one away."""

import importlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.audit import SYSTEM, Action, Actor, entry_of
from accounts.models import AuditEntry
from accounts.roles import Role
from execution.cancel import cancel_trigger
from execution.redrive import redrive_matching, redrive_trigger
from tests.factories import ANN, TriggerFactory, UserFactory, WorkflowFactory
from tests.integration.admin.conftest import failed_trigger
from tests.integration.api.answers import call, signed_in
from triggers.acceptance import TriggerRequest, accept_trigger
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

BODY = {"idempotency_key": "order-17", "recipient": ANN}


def told(entry: AuditEntry) -> dict[str, Any]:
    """Return what an entry says, but for its id and moment."""
    about = ("actor_id", "actor", "role", "via", "action", "object_type", "object_id", "object_name", "request_id")
    return {name: getattr(entry, name) for name in (*about, "address", "changes")}


# --- each deed: one entry, of whoever did it ---


@dataclass(frozen=True)
class Deed:
    """A call, which object it is about, and what the trail then says of it; `again` is refused."""

    make: Callable[[], Trigger]
    path: str
    action: Action
    changes: dict[str, Any]
    role: Role = Role.TRIGGER_OPERATOR
    body: Any = None


DEEDS = {
    "cancel": Deed(
        TriggerFactory, "triggers/{}/cancel/", Action.TRIGGER_CANCELED, {"status": ["enqueued", "canceled"]}
    ),
    "redrive": Deed(
        failed_trigger, "triggers/{}/redrive/", Action.TRIGGER_REDRIVEN, {"status": ["failed", "enqueued"]}
    ),
    "redrive-matching": Deed(
        failed_trigger,
        "triggers/redrive/",
        Action.TRIGGER_REDRIVEN,
        {"status": ["failed", "enqueued"], "filter": {"created_after": "2026-01-01 00:00:00+00:00"}},
        body={"created_after": "2026-01-01T00:00:00Z"},
    ),
    "process": Deed(
        TriggerFactory,
        "triggers/{}/process/",
        Action.TRIGGER_PROCESSED,
        {"node": "mail"},
        role=Role.WORKER_SERVICE,
    ),
}


@pytest.mark.parametrize("name", DEEDS)
def test_a_deed_has_one_entry_of_whoever_did_it(name: str) -> None:
    deed = DEEDS[name]
    trigger, user = deed.make(), UserFactory(role=deed.role, username="ann")
    client = signed_in(user)

    answer = call(client, "POST", deed.path.format(trigger.pk), deed.body, headers={"X-Request-ID": "r-17"})

    assert answer.status_code == 200
    entry = AuditEntry.objects.get()
    assert told(entry) == {
        "actor_id": user.pk,
        "actor": "ann",
        "role": deed.role,
        "via": "api",
        "action": deed.action,
        "object_type": "trigger",
        "object_id": trigger.pk,
        "object_name": trigger.idempotency_key,
        "request_id": "r-17",
        "address": "127.0.0.1",
        "changes": deed.changes,
    }
    assert abs(timezone.now() - entry.at) < timedelta(minutes=1)


@pytest.mark.parametrize("name", DEEDS)
def test_a_deed_that_is_refused_has_none(name: str) -> None:
    deed = DEEDS[name]
    trigger = TriggerFactory(status="completed", completed_at=timezone.now())
    right, wrong = signed_in(UserFactory(role=deed.role)), signed_in(UserFactory(role=Role.WORKFLOW_MANAGER))

    for client, about in ((wrong, deed.make().pk), (right, trigger.pk), (right, uuid7())):
        body = {"ids": [str(about)]} if deed.body else None
        call(client, "POST", deed.path.format(about), body)

    assert AuditEntry.objects.count() == 0


def test_an_acceptance_has_one_entry_and_its_replay_none() -> None:
    workflow, user = WorkflowFactory(key="hello"), UserFactory(role=Role.TRIGGER_OPERATOR)
    client = signed_in(user)

    for wanted in ("hello", str(workflow.pk), "hello"):
        answer = call(client, "POST", "triggers/", {**BODY, "workflow": wanted}, headers={"X-Request-ID": "r-1"})

    entry = AuditEntry.objects.get()
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert told(entry) == {
        "actor_id": user.pk,
        "actor": user.username,
        "role": user.role,
        "via": "api",
        "action": "trigger.created",
        "object_type": "trigger",
        "object_id": Trigger.objects.get().pk,
        "object_name": "order-17",
        "request_id": "r-1",
        "address": "127.0.0.1",
        "changes": {"workflow": "hello"},
    }


@pytest.mark.parametrize("by_id", [True, False])
def test_an_acceptance_by_id_or_key_tells_the_key(by_id: bool) -> None:
    workflow = WorkflowFactory(key="hello")

    accept_trigger(TriggerRequest(str(workflow.pk) if by_id else "hello", "k", {}, {}))

    assert AuditEntry.objects.get().changes == {"workflow": "hello"}


def test_an_acceptance_takes_one_statement_with_its_entry() -> None:
    WorkflowFactory(key="hello")
    accept_trigger(TriggerRequest("hello", "first", {}, {}))

    with CaptureQueriesContext(connection) as captured:
        accept_trigger(TriggerRequest("hello", "second", {}, {}))

    assert len(captured) == 1
    assert AuditEntry.objects.count() == 2


@pytest.mark.parametrize("body", [{"workflow": "unknown"}, {"workflow": "idle"}, {"workflow": "hello", "recipient": 1}])
def test_a_trigger_that_is_not_accepted_has_no_entry(body: dict[str, Any]) -> None:
    WorkflowFactory(key="hello")
    WorkflowFactory(key="idle", is_active=False)

    answer = call(signed_in(UserFactory(role=Role.TRIGGER_OPERATOR)), "POST", "triggers/", {**BODY, **body})

    assert answer.status_code in (400, 404, 409)
    assert AuditEntry.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_concurrent_twins_have_one_entry() -> None:
    WorkflowFactory(key="hello")
    start = Barrier(4)

    def accept(_: int) -> bool:
        start.wait()
        try:
            return accept_trigger(TriggerRequest("hello", "twin", {}, {})).is_created
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        created = list(pool.map(accept, range(4)))

    assert sorted(created) == [False, False, False, True]
    assert AuditEntry.objects.get().object_id == Trigger.objects.get().pk


@pytest.mark.parametrize("name", ["accept", "cancel", "redrive", "redrive-matching"])
def test_a_deed_that_is_rolled_back_has_none(name: str) -> None:
    WorkflowFactory(key="hello")
    waiting, failed = TriggerFactory(), failed_trigger()
    deeds: dict[str, Callable[[], Any]] = {
        "accept": lambda: accept_trigger(TriggerRequest("hello", "k", {}, {})),
        "cancel": lambda: cancel_trigger(waiting.pk),
        "redrive": lambda: redrive_trigger(failed.pk),
        "redrive-matching": lambda: redrive_matching(Trigger.objects.all()),
    }

    with transaction.atomic():
        deeds[name]()
        assert AuditEntry.objects.count() == 1
        transaction.set_rollback(True)

    assert AuditEntry.objects.count() == 0


def test_a_redrive_by_filter_has_an_entry_for_each_and_counts_the_ids_it_was_given() -> None:
    triggers = [failed_trigger() for _ in range(3)]
    client = signed_in(UserFactory(role=Role.TRIGGER_OPERATOR))
    body = {"ids": [str(trigger.pk) for trigger in triggers[1:]], "after_id": str(triggers[0].pk)}

    assert call(client, "POST", "triggers/redrive/", body).json()["redriven"] == 2

    assert set(AuditEntry.objects.values_list("object_id", flat=True)) == {trigger.pk for trigger in triggers[1:]}
    filters = [entry.changes["filter"] for entry in AuditEntry.objects.all()]
    assert filters == [{"ids": 2, "after_id": str(triggers[0].pk)}] * 2


def test_a_deed_without_an_actor_is_the_systems() -> None:
    cancel_trigger(TriggerFactory().pk)

    entry = AuditEntry.objects.get()
    assert (entry.actor_id, entry.actor, entry.role, entry.via) == (None, "system", "", "command")


# --- it only grows ---


def noted(by: Actor = SYSTEM, action: Action = Action.WORKFLOW_CHANGED, **about: Any) -> AuditEntry:
    """Store an entry and return it."""
    entry = entry_of(by, action, **{"object_type": action.partition(".")[0], "object_id": uuid7(), **about})
    entry.save()
    return entry


def test_code_can_not_change_or_delete_an_entry() -> None:
    entry = noted()
    entry.actor = "somebody else"

    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.filter(pk=entry.pk).update(actor="x"),
        lambda: AuditEntry.objects.bulk_update([entry], ["actor"]),
        lambda: AuditEntry.objects.update_or_create(pk=entry.pk, defaults={"actor": "x"}),
    ):
        with pytest.raises(TypeError), transaction.atomic():
            attempt()

    assert AuditEntry.objects.get().actor == "system"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_auditentry SET actor = 'x'",
        "DELETE FROM accounts_auditentry",
        "INSERT INTO accounts_auditentry SELECT * FROM accounts_auditentry ON CONFLICT (id) DO UPDATE SET actor = 'x'",
        "WITH gone AS (DELETE FROM accounts_auditentry RETURNING 1) SELECT * FROM gone",
    ],
)
def test_the_database_refuses_to_change_or_delete_an_entry(sql: str) -> None:
    noted()

    with pytest.raises(IntegrityError, match="only grows"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    assert AuditEntry.objects.get().actor == "system"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_auditentry SET actor = 'x'",
        "DELETE FROM accounts_auditentry",
        "INSERT OR REPLACE INTO accounts_auditentry VALUES (1, 'x')",
        "INSERT INTO accounts_auditentry VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET actor = 'x'",
    ],
)
def test_sqlite_refuses_it_too(sql: str) -> None:
    statements = importlib.import_module("accounts.migrations.0001_initial").ONLY_GROWS["sqlite"]
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE accounts_auditentry (id integer PRIMARY KEY, actor text)")
        for statement in statements:
            database.execute(statement)
        database.execute("INSERT INTO accounts_auditentry VALUES (1, 'ann')")

        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            database.execute(sql)

        assert database.execute("SELECT actor FROM accounts_auditentry").fetchall() == [("ann",)]
    database.close()
