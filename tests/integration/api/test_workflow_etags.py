"""ETags of workflows, and what If-Match and If-None-Match keep from happening: of two managers at once one gets 412."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from accounts.roles import Role
from tests.factories import EMAIL, SMS, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.integration.api.answers import call, details_of, errors_of, signed_in
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority
from workflows.services import WorkflowDraft, set_active, update_workflow

pytestmark = pytest.mark.django_db

ONE = "workflows/known/"
BODY = {"name": "Mine", **definition(EMAIL)}
Write = tuple[str, str, Any]
# Every call that changes a workflow, with a body that would be taken.
WRITES: list[Write] = [
    ("PUT", ONE, BODY),
    ("PATCH", ONE, {"name": "Mine"}),
    ("DELETE", ONE, None),
    ("POST", f"{ONE}activate/", None),
    ("POST", f"{ONE}deactivate/", None),
]
FAILED = (412, [(None, "precondition_failed")])


@pytest.fixture
def known() -> Workflow:
    """Store the workflow that the calls are about."""
    return WorkflowFactory(key="known")


def etag(admin: Client) -> str:
    """Return the workflow's tag as GET gives it."""
    answer = call(admin, "GET", ONE)
    assert answer.status_code == 200
    return str(answer.headers["ETag"])


def rows() -> list[Any]:
    """Return everything that is stored of workflows, and of who did what to them."""
    return [list(model.objects.order_by("pk").values()) for model in (Workflow, WorkflowVersion, AuditEntry)]


def said(answer: Any) -> tuple[int, list[tuple[str | None, str]]]:
    return answer.status_code, errors_of(answer)


# --- the tag ---


def test_every_answer_that_shows_a_workflow_has_the_tag_of_what_it_shows(admin: Client) -> None:
    made = call(admin, "POST", "workflows/", {"key": "known", **BODY})
    tags = [made.headers["ETag"]]
    assert etag(admin) == tags[0]

    for method, path, body in [
        ("PUT", ONE, {**BODY, "name": "Second"}),
        ("PATCH", ONE, {"priority": "high"}),
        ("PATCH", ONE, {"nodes": [SMS], "entry_node_id": "text"}),
        ("POST", f"{ONE}activate/", None),
        ("POST", f"{ONE}deactivate/", None),
    ]:
        answer = call(admin, method, path, body)
        assert (answer.status_code, answer.headers["ETag"]) == (200, etag(admin))
        assert call(admin, "GET", ONE).json() == answer.json()
        tags.append(answer.headers["ETag"])

    assert len(set(tags)) == 6
    assert all(tag[0] == tag[-1] == '"' and len(tag) > 4 for tag in tags)


def test_what_changes_nothing_keeps_the_tag_and_what_the_answer_shows(admin: Client, known: Workflow) -> None:
    before, shown = etag(admin), call(admin, "GET", ONE).json()

    for method, path, body in [("PUT", ONE, shown), ("PATCH", ONE, {}), ("POST", f"{ONE}activate/", None)]:
        answer = call(admin, method, path, body)
        assert (answer.status_code, answer.headers["ETag"], answer.json()) == (200, before, shown)


def test_changes_of_one_microsecond_and_one_transaction_differ(
    admin: Client, known: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: moment)
    tags = []
    with transaction.atomic():
        for name in ("A", "B", "A"):
            draft = WorkflowDraft(name=name, priority=Priority.MEDIUM, definition=definition(EMAIL))
            tags.append(update_workflow(known.pk, lambda *_, draft=draft: draft).state_tag)
        tags += [set_active(known.pk, is_active=is_active).state_tag for is_active in (False, True)]

    known.refresh_from_db()
    assert known.updated_at == moment
    assert len(set(tags)) == 5
    assert tags[-1] == known.state_tag


def test_the_same_number_at_another_time_is_another_tag() -> None:
    moments = (datetime(2026, 3, 5, 9, 0, 0, microsecond, tzinfo=UTC) for microsecond in (1, 2))
    before, after_a_restored_backup = (Workflow(revision=7, updated_at=moment) for moment in moments)

    assert before.state_tag != after_a_restored_backup.state_tag


# --- If-Match ---


@pytest.mark.parametrize("write", WRITES)
def test_a_write_based_on_what_was_overwritten_is_refused_and_changes_nothing(
    admin: Client, known: Workflow, write: Write
) -> None:
    old = etag(admin)
    call(admin, "PATCH", ONE, {"name": "Theirs"})
    before = rows()

    answer = call(admin, *write, headers={"If-Match": old})

    assert said(answer) == FAILED
    assert "Read it again" in details_of(answer)[0]
    assert rows() == before


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("header", ["{tag}", "*", " * ", '"other", {tag}', '{tag},"other"', ', {tag} ,,\t"a,b"'])
def test_a_write_based_on_what_is_there_goes_on(admin: Client, known: Workflow, write: Write, header: str) -> None:
    answer = call(admin, *write, headers={"If-Match": header.format(tag=etag(admin))})

    assert answer.status_code == (204 if write[0] == "DELETE" else 200)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("header", ["W/{tag}", '"*"', '""', '"other"', 'W/"other", W/{tag}', '"\xe9\xff"'])
def test_weak_and_other_tags_match_nothing(admin: Client, known: Workflow, write: Write, header: str) -> None:
    before = rows()

    answer = call(admin, *write, headers={"If-Match": header.format(tag=etag(admin))})

    assert said(answer) == FAILED
    assert rows() == before


MALFORMED = [
    "",
    " ",
    ",",
    "4-6441e9",
    '"open',
    '"a" "b"',
    '"a", b',
    '*, "a"',
    'w/"a"',
    '"a b"',
    "T",
    '"a";',
    "\t" * 5000 + "x",
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("header", MALFORMED)
def test_what_is_no_list_of_tags_is_refused(admin: Client, known: Workflow, write: Write, header: str) -> None:
    before = rows()

    answer = call(admin, *write, headers={"If-Match": header})

    assert said(answer) == (400, [("if_match", "malformed_tags")])
    assert rows() == before


def test_the_precondition_is_looked_at_before_the_body_and_before_what_stands_in_the_way(admin: Client) -> None:
    """RFC 9110, 13.2.1: after what the request alone tells, before its content."""
    TriggerFactory(workflow=WorkflowFactory(key="known"))
    old = {"If-Match": '"old"'}

    assert call(admin, "PUT", ONE, {}, headers=old).status_code == 412
    assert call(admin, "DELETE", ONE, headers=old).status_code == 412
    assert call(admin, "DELETE", ONE, headers={"If-Match": etag(admin)}).status_code == 409
    assert call(admin, "DELETE", "workflows/nowhere/", headers=old).status_code == 404
    operator = signed_in(UserFactory(role=Role.TRIGGER_OPERATOR))
    assert call(operator, "PUT", ONE, BODY, headers=old).status_code == 403


@pytest.mark.parametrize("write", WRITES)
def test_if_none_match_holds_a_write_back_from_what_the_caller_has(
    admin: Client, known: Workflow, write: Write
) -> None:
    for header in ("*", etag(admin), f"W/{etag(admin)}"):
        assert said(call(admin, *write, headers={"If-None-Match": header})) == FAILED
    assert call(admin, *write, headers={"If-None-Match": '"other"'}).status_code in (200, 204)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", [WRITES[0], WRITES[1], WRITES[4]])
def test_of_two_managers_at_once_one_saves(admin: Client, write: Write) -> None:
    method, path, body = write
    known = WorkflowFactory(key="known")
    tag = etag(admin)
    managers = [signed_in(UserFactory(role=Role.WORKFLOW_MANAGER)) for _ in range(2)]
    barrier = Barrier(2)

    def save(number: int) -> Any:
        mine = {**body, "name": f"Manager {number}"} if body else body
        barrier.wait()
        try:
            return call(managers[number], method, path, mine, headers={"If-Match": tag})
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(save, range(2)))

    assert sorted(answer.status_code for answer in answers) == [200, 412]
    (winner,) = [answer for answer in answers if answer.status_code == 200]
    known.refresh_from_db()
    assert (known.name, known.revision) == (winner.json()["name"], 2)
    assert AuditEntry.objects.filter(object_id=known.pk).count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_the_lock_is_judged_by_what_is_there_when_it_comes(admin: Client) -> None:
    """The one that waits has passed every look before the lock: only the look under it can refuse."""
    known = WorkflowFactory(key="known")
    tag = etag(admin)

    def save() -> Any:
        try:
            return call(admin, "PATCH", ONE, {"name": "Late"}, headers={"If-Match": tag})
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            set_active(known.pk, is_active=False)
            late = pool.submit(save)
            _until_somebody_waits()
        answer = late.result()

    assert said(answer) == FAILED
    known.refresh_from_db()
    assert known.name == "A workflow"


def _until_somebody_waits() -> None:
    """Return once another connection waits for a lock that this one holds."""
    with connection.cursor() as cursor:
        for _ in range(100_000):
            cursor.execute("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("Nobody waited.")


# --- reading ---


def test_who_has_it_already_is_told_so_without_a_body(admin: Client, known: Workflow) -> None:
    tag = etag(admin)

    for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            answer = call(admin, method, ONE, headers={"If-None-Match": header})
            assert (answer.status_code, answer.headers["ETag"], answer.content) == (304, tag, b"")
            assert "Content-Type" not in answer.headers
    call(admin, "PATCH", ONE, {"name": "Theirs"})
    answer = call(admin, "GET", ONE, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["name"]) == (200, "Theirs")


def test_a_read_can_demand_too(admin: Client, known: Workflow) -> None:
    assert said(call(admin, "GET", ONE, headers={"If-Match": '"old"'})) == FAILED
    assert call(admin, "GET", ONE, headers={"If-Match": etag(admin)}).status_code == 200
    malformed = call(admin, "GET", ONE, headers={"If-None-Match": "x"})
    assert said(malformed) == (400, [("if_none_match", "malformed_tags")])


def test_a_version_keeps_its_tag(admin: Client, known: Workflow) -> None:
    first = call(admin, "GET", f"{ONE}versions/1/").headers["ETag"]
    call(admin, "PATCH", ONE, {"nodes": [SMS], "entry_node_id": "text"})

    assert call(admin, "GET", f"{ONE}versions/1/", headers={"If-None-Match": first}).status_code == 304
    assert call(admin, "GET", f"{ONE}versions/2/", headers={"If-None-Match": first}).status_code == 200


def test_who_may_not_read_is_told_nothing_by_a_tag(admin: Client, known: Workflow) -> None:
    operator = signed_in(UserFactory(role=Role.TRIGGER_OPERATOR))

    answer = call(operator, "GET", ONE, headers={"If-None-Match": etag(admin)})

    assert answer.status_code == 403
    assert "ETag" not in answer.headers


# --- what a body may not set ---

READ_ONLY = {
    "id": "01890000-0000-7000-8000-000000000000",
    "version": 17,
    "is_active": False,
    "created_at": "2001-01-01T00:00:00Z",
    "updated_at": "2001-01-01T00:00:00Z",
}
REFUSED = {"revision": 17, "deleted_at": "2001-01-01T00:00:00Z", "state_tag": "x", "workflow_id": READ_ONLY["id"]}


@pytest.mark.parametrize("name", READ_ONLY)
@pytest.mark.parametrize(("method", "body"), [("PUT", {"name": "A workflow", **definition(EMAIL)}), ("PATCH", {})])
def test_what_is_shown_only_is_ignored_in_a_change(
    admin: Client, known: Workflow, method: str, body: dict[str, Any], name: str
) -> None:
    before = rows()

    answer = call(admin, method, ONE, {**body, name: READ_ONLY[name]})

    assert answer.status_code == 200
    assert answer.json()[name] != READ_ONLY[name]
    assert rows() == before


@pytest.mark.parametrize("name", READ_ONLY)
def test_what_is_shown_only_is_ignored_in_a_new_workflow(admin: Client, name: str) -> None:
    value = {**READ_ONLY, "is_active": True}[name]

    answer = call(admin, "POST", "workflows/", {"key": "known", **BODY, name: value})

    assert answer.status_code == 201
    assert answer.json()[name] != value
    workflow = Workflow.objects.get()
    assert (workflow.version, workflow.is_active, str(workflow.pk)) == (1, False, answer.json()["id"])


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(("method", "path"), [("POST", "workflows/"), ("PUT", ONE), ("PATCH", ONE)])
def test_what_is_not_even_shown_is_refused(admin: Client, known: Workflow, method: str, path: str, name: str) -> None:
    before = rows()

    answer = call(admin, method, path, {**BODY, name: REFUSED[name]})

    assert said(answer) == (400, [(name, "unknown_field")])
    assert rows() == before
