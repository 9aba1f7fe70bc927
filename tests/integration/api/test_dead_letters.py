"""Dead letters over HTTP: listed, grouped, looked into, redriven and discarded, one or by filter."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import AuditEntry
from accounts.roles import Role
from execution import dead_letter_groups, redrive
from execution.models import DeadLetter
from execution.runner import advance_lane
from tests.factories import ANN, EMAIL, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.admin.conftest import failed_trigger
from tests.integration.api.answers import call, errors_of, signed_in
from tests.integration.execution.conftest import send_to
from triggers.models import Trigger
from workflows.models import WorkflowVersion
from workflows.services import delete_workflow

pytestmark = pytest.mark.django_db

LETTERS = "dead-letters/"


@pytest.fixture
def operator() -> Client:
    """Return a client signed in as the trigger operator Ann."""
    return signed_in(UserFactory(username="ann", role=Role.TRIGGER_OPERATOR))


def failed_letter(**fields: Any) -> DeadLetter:
    """Store a failed trigger and return its dead letter."""
    letter: DeadLetter = failed_trigger(**fields).dead_letters.get()
    return letter


def ids(client: Client, query: str = "") -> list[str]:
    """Return the ids that the list has."""
    answer = call(client, "GET", f"{LETTERS}{query}")
    assert answer.status_code == 200
    return [row["id"] for row in answer.json()["results"]]


def post(client: Client, path: str, body: Any = None) -> tuple[int, Any]:
    """Return the status and the answer of a call under `dead-letters/`."""
    answer = call(client, "POST", f"{LETTERS}{path}", {} if body is None else body)
    return answer.status_code, answer.json() if answer.status_code == 200 else errors_of(answer)


# --- reading ---


def test_a_letter_says_what_failed_and_for_whom_only_masked(operator: Client) -> None:
    letter = failed_letter(workflow=WorkflowFactory(key="hello"))

    [row] = call(operator, "GET", LETTERS).json()["results"]

    moments = {name: row.pop(name) for name in ("first_failed_at", "last_failed_at")}
    assert None not in moments.values()
    assert row == {
        "id": str(letter.pk),
        "state": "open",
        "trigger": str(letter.trigger_id),
        "idempotency_key": letter.trigger.idempotency_key,
        "workflow": str(letter.workflow_id),
        "workflow_key": "hello",
        "workflow_version": 1,
        "node_id": "mail",
        "code": "invalid_address",
        "failure_class": "permanent",
        "message": "this is not an email address",
        "attempts": 1,
        "destination": "a***@example.org",
        "redriven_at": None,
        "goes_on_at": None,
        "discarded_at": None,
        "discarded_by": "",
        "discard_reason": "",
    }


def test_the_page_of_one_leads_to_its_trigger_and_its_steps(operator: Client) -> None:
    letter = failed_letter()

    shown = call(operator, "GET", f"{LETTERS}{letter.pk}/").json()

    assert shown["trigger_status"] == "failed"
    assert [call(operator, "GET", link).status_code for link in shown["links"].values()] == [200, 200]
    [step] = shown["steps"]
    assert (step["id"], step["node_id"], step["attempt"], step["status"]) == (
        str(letter.trigger.steps.get().pk), "mail", 1, "failed",
    )  # fmt: skip
    assert call(operator, "GET", f"{LETTERS}{uuid7()}/").status_code == 404


def test_the_list_is_narrowed_by_each_filter(operator: Client) -> None:
    hello = WorkflowFactory(key="hello")
    one, two, three = failed_letter(workflow=hello), failed_letter(), failed_letter()
    DeadLetter.objects.filter(pk=two.pk).update(node_id="text", code="throttled")
    DeadLetter.objects.filter(pk=three.pk).update(last_failed_at=timezone.now() - timedelta(days=2))
    post(operator, f"{two.pk}/redrive/")
    post(operator, f"{three.pk}/discard/", {"reason": "Wrong."})
    noon = (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert ids(operator) == [str(letter.pk) for letter in (three, two, one)]
    for query, letters in {
        "workflow=hello": [one],
        f"workflow={hello.pk}": [one],
        "workflow=nowhere": [],
        "node=text": [two],
        "code=throttled": [two],
        "state=open": [one],
        "state=redriven": [two],
        "state=discarded": [three],
        f"failed_before={noon}": [three],
        f"failed_after={noon}": [two, one],
        "state=open&node=text": [],
    }.items():
        assert (query, ids(operator, f"?{query}")) == (query, [str(letter.pk) for letter in letters])
    assert call(operator, "GET", f"{LETTERS}?state=shut").status_code == 400
    assert call(operator, "GET", f"{LETTERS}?failed_after=noon").status_code == 400
    assert call(operator, "GET", f"{LETTERS}?colour=red").status_code == 400


def test_the_list_goes_on_by_cursor_and_asks_the_database_as_often_for_three_as_for_one(operator: Client) -> None:
    first = failed_letter()
    ids(operator)
    with CaptureQueriesContext(connection) as for_one:
        ids(operator)
    rest = [failed_letter() for _ in range(2)]
    with CaptureQueriesContext(connection) as for_three:
        ids(operator)

    assert len(for_one) == len(for_three)
    answer = call(operator, "GET", f"{LETTERS}?page_size=2").json()
    more = call(operator, "GET", answer["next"].partition("testserver")[2]).json()
    found = [row["id"] for row in (*answer["results"], *more["results"])]
    assert found == [str(letter.pk) for letter in (rest[1], rest[0], first)]


def test_what_failed_alike_is_counted(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = WorkflowFactory(key="hello")
    letters = [failed_letter(workflow=hello) for _ in range(3)]
    other = failed_letter(workflow=WorkflowFactory(key="other"))
    post(operator, f"{letters[0].pk}/discard/", {"reason": "Wrong."})

    answer = call(operator, "GET", f"{LETTERS}groups/").json()

    assert (answer["counted"], answer["is_complete"]) == (3, True)
    groups = [(each["workflow_key"], each["node_id"], each["code"], each["count"]) for each in answer["groups"]]
    assert groups == [("hello", "mail", "invalid_address", 2), ("other", "mail", "invalid_address", 1)]
    assert answer["groups"][1]["workflow"] == str(other.workflow_id)
    monkeypatch.setattr(dead_letter_groups, "MOST_GROUPS_FOR_API", 1)
    answer = call(operator, "GET", f"{LETTERS}groups/").json()
    assert (len(answer["groups"]), answer["is_complete"]) == (1, False)
    monkeypatch.setattr(dead_letter_groups, "MOST_GROUPED_FOR_API", 2)
    answer = call(operator, "GET", f"{LETTERS}groups/").json()
    assert (answer["counted"] <= 2, answer["is_complete"]) == (True, False)


# --- one ---


def test_one_is_redriven_and_then_no_more(operator: Client) -> None:
    letter = failed_letter()

    status, shown = post(operator, f"{letter.pk}/redrive/")

    assert (status, shown["state"], shown["trigger_status"]) == (200, "redriven", "enqueued")
    assert shown["redriven_at"] is not None
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.object_id) == ("ann", "trigger.redriven", letter.trigger_id)
    for path, body in ((f"{letter.pk}/redrive/", {}), (f"{letter.pk}/discard/", {"reason": "Wrong."})):
        assert post(operator, path, body) == (409, [(None, "not_open")])
    assert AuditEntry.objects.count() == 1


def test_one_is_discarded_with_a_reason_that_is_kept(operator: Client) -> None:
    letter = failed_letter()

    status, shown = post(operator, f"{letter.pk}/discard/", {"reason": "The order was canceled."})

    assert (status, shown["state"], shown["trigger_status"]) == (200, "discarded", "failed")
    assert (shown["discarded_by"], shown["discard_reason"]) == ("ann", "The order was canceled.")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.object_type, entry.object_id) == (
        "ann", "dead_letter.discarded", "dead_letter", letter.pk,
    )  # fmt: skip
    assert entry.changes == {
        "state": ["open", "discarded"],
        "reason": "The order was canceled.",
        "trigger": str(letter.trigger_id),
    }
    assert post(operator, f"{letter.pk}/discard/", {"reason": "Again."}) == (409, [(None, "not_open")])
    assert post(operator, f"{letter.pk}/redrive/") == (409, [(None, "not_open")])
    found = call(operator, "GET", "audit/").status_code
    assert found == 403


@pytest.mark.parametrize("deed", ["redrive", "discard"])
def test_bodies_are_read_strictly(operator: Client, deed: str) -> None:
    letter = failed_letter()
    good = {"reason": "Wrong."} if deed == "discard" else {}
    bad: list[tuple[Any, str]] = [({**good, "colour": "red"}, "colour")]
    if deed == "discard":
        bad += [
            ({}, "reason"),
            ({"reason": " "}, "reason"),
            ({"reason": 17}, "reason"),
            ({"reason": "x" * 501}, "reason"),
        ]
    else:
        bad += [({"version": "oldest"}, "version"), ({"version": 2}, "version"), ({"version": None}, "version")]
    for body, attr in bad:
        status, errors = post(operator, f"{letter.pk}/{deed}/", body)
        assert (body, status, errors[0][0]) == (body, 400, attr)
    for raw in (b"[]", b"{", b'{"reason": "\\ud800"}', b'{"version": 1e999}'):
        assert (raw, post(operator, f"{letter.pk}/{deed}/", raw)[0]) == (raw, 400)
    assert post(operator, f"{uuid7()}/{deed}/", good) == (404, [(None, "not_found")])
    assert DeadLetter.objects.open().count() == 1


def test_the_newest_version_is_a_choice(operator: Client) -> None:
    workflow = WorkflowFactory()
    letter = failed_letter(workflow=workflow)
    for number, node in ((2, {**EMAIL, "id": "other"}), (3, {**EMAIL, "subject": "Mended"})):
        workflow.version = number
        workflow.save()
        WorkflowVersion.objects.create(workflow=workflow, number=number, definition=definition(node))
        if number == 2:
            assert post(operator, f"{letter.pk}/redrive/", {"version": "newest"}) == (409, [(None, "node_gone")])

    status, shown = post(operator, f"{letter.pk}/redrive/", {"version": "newest"})

    assert (status, shown["workflow_version"]) == (200, 3)
    assert AuditEntry.objects.get().changes["version"] == [1, 3]


def test_a_version_where_the_run_can_not_go_on_is_refused(operator: Client) -> None:
    workflow = WorkflowFactory(version=1)
    letter = failed_letter(workflow=workflow)
    workflow.version = 2
    workflow.save()
    WorkflowVersion.objects.create(workflow=workflow, number=2, definition=definition({**EMAIL, "id": "before"}, EMAIL))

    assert post(operator, f"{letter.pk}/redrive/", {"version": "newest"}) == (409, [(None, "version_incompatible")])
    assert Trigger.objects.get().version.number == 1


def test_nothing_of_a_deleted_workflow_is_redriven(operator: Client) -> None:
    letter = failed_letter()
    delete_workflow(letter.workflow_id)

    refused = (409, [(None, "workflow_deleted")])
    assert post(operator, f"{letter.pk}/redrive/") == refused
    answer = call(operator, "POST", f"triggers/{letter.trigger_id}/redrive/")
    assert (answer.status_code, errors_of(answer)) == refused
    assert post(operator, f"{letter.pk}/discard/", {"reason": "Gone."})[0] == 200


# --- by filter ---


def test_a_dry_run_counts_and_does_nothing(operator: Client) -> None:
    hello = WorkflowFactory(key="hello")
    for _ in range(2):
        failed_letter(workflow=hello)
    failed_letter()

    nothing: dict[str, Any] = {"count": 2, "remaining": 2, "last_id": None, "refused": []}
    body = {"workflow": "hello", "dry_run": True}
    assert post(operator, "redrive/", body) == (200, {**nothing, "redriven": 0, "spread_until": None})
    assert post(operator, "discard/", {**body, "reason": "Wrong."}) == (200, {**nothing, "discarded": 0})
    assert (DeadLetter.objects.open().count(), AuditEntry.objects.count()) == (3, 0)


def test_a_redrive_by_filter_goes_on_behind_the_last(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrive, "MOST_AT_ONCE", 2)
    hello = WorkflowFactory(key="hello")
    letters = [failed_letter(workflow=hello) for _ in range(3)]
    body = {"workflow": "hello", "node": "mail", "code": "invalid_address", "per_second": 1}

    _, first = post(operator, "redrive/", body)
    _, second = post(operator, "redrive/", {**body, "after_id": first["last_id"]})

    assert (first["count"], first["redriven"], first["remaining"]) == (3, 2, 1)
    assert first["last_id"] == str(letters[1].trigger_id)
    assert (second["count"], second["redriven"], second["remaining"]) == (1, 1, 0)
    assert second["spread_until"] > first["spread_until"]
    due = list(Trigger.objects.order_by("pk").values_list("available_at", flat=True))
    assert [due[1] - due[0], due[2] - due[1]] == [timedelta(seconds=1)] * 2
    entries = AuditEntry.objects.filter(action="trigger.redriven")
    told = {"workflow": "hello", "node": "mail", "code": "invalid_address"}
    assert [entry.changes["filter"] for entry in entries] == [told] * 3


def test_a_discard_by_filter_keeps_its_reason_with_each(operator: Client) -> None:
    letters = [failed_letter() for _ in range(3)]
    wanted = [str(letter.pk) for letter in letters[:2]]

    _, done = post(operator, "discard/", {"ids": wanted, "reason": "The list was wrong."})

    assert (done["count"], done["discarded"], done["remaining"]) == (2, 2, 0)
    reasons = DeadLetter.objects.order_by("pk").values_list("discard_reason", "discarded_by")
    assert list(reasons) == [("The list was wrong.", "ann")] * 2 + [("", "")]
    assert [entry.changes["filter"] for entry in AuditEntry.objects.all()] == [{"ids": 2}] * 2
    assert set(Trigger.objects.values_list("status", flat=True)) == {"failed"}


@pytest.mark.parametrize("path", ["redrive/", "discard/"])
def test_a_filter_names_something_that_there_is(operator: Client, path: str) -> None:
    failed_letter()
    reason = {"reason": "Wrong."} if path == "discard/" else {}
    refused: list[tuple[dict[str, Any], tuple[str, str]]] = [
        ({}, ("non_field_errors", "required")),
        ({"after_id": str(uuid7())}, ("non_field_errors", "required")),
        ({"dry_run": True}, ("non_field_errors", "required")),
        ({"colour": "red"}, ("colour", "unknown_field")),
        ({"workflow": 17}, ("workflow", "invalid")),
        ({"code": "x", "dry_run": "yes"}, ("dry_run", "invalid")),
        ({"code": "x", "limit": 0}, ("limit", "min_value")),
        ({"code": "x", "limit": 1001}, ("limit", "max_value")),
        ({"code": "x", "after_id": 17}, ("after_id", "invalid")),
        ({"failed_after": "noon"}, ("failed_after", "invalid")),
        ({"ids": ["x"]}, ("ids.0", "invalid")),
    ]
    for body, error in refused:
        assert (body, post(operator, path, {**body, **reason})) == (body, (400, [error]))
    assert post(operator, path, b'{"code": "x", "reason": "y", "limit": 1e999}')[0] == 400
    if path == "redrive/":
        for fast, code in ((0, "min_value"), (10_001, "max_value"), (1.5, "invalid"), (True, "invalid")):
            assert post(operator, path, {"code": "x", "per_second": fast}) == (400, [("per_second", code)])
    else:
        assert post(operator, path, {"code": "x"}) == (400, [("reason", "required")])
    assert DeadLetter.objects.open().count() == 1


def test_nobody_is_told_whom_it_was_for(operator: Client, settings: Any) -> None:
    """The provider says the address in its refusal; neither the answers about the letter nor the trail repeat it."""
    with FakeSmtp() as server:
        send_to(server, settings)
        server.reply("RCPT", "550 5.1.1 <ann@example.org>: no such user")
        TriggerFactory(recipient=dict(ANN))
        advance_lane("medium")
    letter = DeadLetter.objects.get()

    answers = [
        call(operator, "GET", LETTERS),
        call(operator, "GET", f"{LETTERS}{letter.pk}/"),
        call(operator, "GET", f"{LETTERS}groups/"),
        call(operator, "POST", f"{LETTERS}redrive/", {"code": letter.code, "dry_run": True}),
        call(operator, "POST", f"{LETTERS}{letter.pk}/discard/", {"reason": "Wrong."}),
    ]

    assert [answer.status_code for answer in answers] == [200] * 5
    text = "".join(answer.content.decode() for answer in answers) + str(list(AuditEntry.objects.values()))
    assert "a***@example.org" in text
    assert "ann@example.org" not in text
