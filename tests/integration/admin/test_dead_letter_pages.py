"""Operators find what failed for good, read its story, and redrive or discard it: one, some, all of a kind."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from execution.dead_letter_deeds import discard_letter, redrive_letters
from execution.dead_letters import Selection
from execution.letter_story import letter_story
from execution.models import DeadLetter
from execution.runner import advance_lane
from tests.factories import ANN, EMAIL, TriggerFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp
from tests.integration.admin.conftest import failed_trigger, said, told
from tests.integration.execution.conftest import send_to
from triggers.models import Trigger
from workflows.models import Workflow, WorkflowVersion
from workflows.services import delete_workflow

pytestmark = pytest.mark.django_db

LIST = "/admin/execution/deadletter/"


def failed_letter(**fields: Any) -> DeadLetter:
    letter: DeadLetter = failed_trigger(**fields).dead_letters.get()
    return letter


def page(letter: DeadLetter, deed: str = "change") -> str:
    return reverse(f"admin:execution_deadletter_{deed}", args=[letter.pk])


def by_filter(deed: str) -> str:
    return reverse(f"admin:execution_deadletter_{deed}_by_filter")


def shown(client: Client, query: str) -> list[Any]:
    """Return the ids that the list has."""
    return [letter.pk for letter in client.get(f"{LIST}{query}").context["cl"].result_list]


def offered(response: Any) -> list[str]:
    """Return the words on the buttons."""
    return [action["title"] for action in response.context["actions_detail"]]


def publish(workflow: Workflow, *nodes: dict[str, Any]) -> None:
    workflow.version += 1
    workflow.save()
    WorkflowVersion.objects.create(workflow=workflow, number=workflow.version, definition=definition(*nodes))


def test_the_list_is_narrowed_by_state_workflow_node_and_code(console: Client) -> None:
    one, two = failed_letter(workflow=WorkflowFactory(key="hello")), failed_letter()
    discard_letter(two.pk, reason="Wrong.")

    assert shown(console, "?state=open") == [one.pk]
    assert shown(console, "?state=discarded") == [two.pk]
    assert shown(console, "?state=redriven") == shown(console, "?state=shut") == []
    assert shown(console, "?workflow=hello") == [one.pk]
    assert shown(console, "?code=invalid_address&node_id=mail") == [two.pk, one.pk]


def test_the_page_tells_the_story_in_words(console: Client) -> None:
    letter = failed_letter(workflow=WorkflowFactory(key="hello"))

    text = said(console.get(page(letter)))

    assert "Node mail of hello for a***@example.org was tried once; it failed for good" in text
    assert "The same would be answered again" in text
    assert "It waits for a person to redrive or discard it." in text
    assert reverse("admin:execution_step_change", args=[letter.trigger.steps.get().pk]) in text


def test_the_story_ends_with_what_was_decided() -> None:
    redriven, discarded, orphan = failed_letter(), failed_letter(), failed_letter()
    redrive_letters(Selection(ids=(redriven.pk,)))
    discard_letter(discarded.pk, reason="Wrong.")
    delete_workflow(orphan.workflow_id)

    def ends(letter: DeadLetter) -> str:
        return letter_story(DeadLetter.objects.get(pk=letter.pk), now=timezone.now())[-1]

    assert ends(redriven).startswith("It was redriven")
    assert (ends(discarded).startswith("system discarded it"), ends(discarded).endswith("Wrong.")) == (True, True)
    assert ends(orphan).startswith("Its workflow was deleted")


def test_one_is_discarded_only_with_a_reason(console: Client) -> None:
    letter = failed_letter()
    assert offered(console.get(page(letter))) == [
        "Redrive this trigger", "Redrive this trigger on the newest version", "Discard this dead letter",
    ]  # fmt: skip

    assert "Discard this dead letter?" in said(console.get(page(letter, "discard")))
    assert "This field is required" in said(console.post(page(letter, "discard"), {"reason": " "}))
    assert DeadLetter.objects.open().exists()
    answer = console.post(page(letter, "discard"), {"reason": "The order was canceled."}, follow=True)

    assert told(answer) == ["1 dead letter discarded; what failed stays failed."]
    assert offered(answer) == []
    assert "The order was canceled." in said(answer)
    entry = AuditEntry.objects.get()
    assert (entry.via, entry.action, entry.changes["reason"]) == (
        "admin", "dead_letter.discarded", "The order was canceled.",
    )  # fmt: skip


def test_what_somebody_has_decided_meanwhile_is_said(console: Client) -> None:
    letter = failed_letter()
    discard_letter(letter.pk, reason="Wrong.")

    for deed, body in (("redrive", {}), ("redrive_on_newest", {}), ("discard", {"reason": "Wrong too."})):
        words = " ".join(told(console.post(page(letter, deed), body, follow=True)))
        assert (deed, "discarded already" in words) == (deed, True)
    assert AuditEntry.objects.count() == 1


def test_the_newest_version_is_a_choice(console: Client) -> None:
    workflow = WorkflowFactory()
    letter, other = failed_letter(workflow=workflow), failed_letter(workflow=workflow)
    publish(workflow, {**EMAIL, "id": "before"}, EMAIL)
    words = told(console.post(page(letter, "redrive_on_newest"), follow=True))
    assert words == ["Other edges lead to node mail in the newest version."]

    publish(workflow, {**EMAIL, "subject": "Mended"})
    console.post(page(letter, "redrive_on_newest"))
    data = {"action": "redrive_selected_on_newest", "_selected_action": [str(other.pk)]}
    assert "Redrive 1 trigger(s)?" in said(console.post(LIST, data))
    console.post(LIST, {**data, "confirmed": "yes"})

    triggers = Trigger.objects.select_related("version")
    assert [(trigger.status, trigger.version.number) for trigger in triggers] == [("enqueued", 3)] * 2
    assert [entry.changes["version"] for entry in AuditEntry.objects.all()] == [[1, 3]] * 2


def test_the_selected_are_discarded_with_one_reason(console: Client) -> None:
    letters = [failed_letter() for _ in range(3)]
    redrive_letters(Selection(ids=(letters[1].pk,)))
    data = {"action": "discard_selected", "_selected_action": [str(letter.pk) for letter in letters[:2]]}

    assert "Discard 2 dead letter(s)?" in said(console.post(LIST, data))
    assert "This field is required" in said(console.post(LIST, {**data, "confirmed": "yes"}))
    answer = console.post(LIST, {**data, "confirmed": "yes", "reason": "Wrong list."}, follow=True)

    assert told(answer) == [
        "1 dead letter discarded; what failed stays failed.",
        "1 left as it was: The dead letter is redriven already.",
    ]
    assert [letter.state for letter in DeadLetter.objects.order_by("pk")] == ["discarded", "redriven", "open"]


def test_all_of_a_kind_are_redriven_after_a_look_at_how_many(console: Client) -> None:
    workflow = WorkflowFactory(key="hello")
    for _ in range(3):
        failed_letter(workflow=workflow)
    failed_letter()
    groups = said(console.get(LIST))
    assert f"{by_filter('redrive')}?workflow=hello&amp;node=mail&amp;code=invalid_address" in groups

    assert "Which dead letters?" in said(console.get(by_filter("redrive")))
    looked = said(console.get(f"{by_filter('redrive')}?workflow=hello&node=mail"))
    assert "Redrive 3 dead letter(s)?" in looked
    assert DeadLetter.objects.open().count() == 4
    body = {"workflow": "hello", "node": "mail", "version": "pinned", "per_second": "0"}
    assert "Redrive 3 dead letter(s)?" in said(console.post(by_filter("redrive"), body))
    answer = console.post(by_filter("redrive"), {**body, "per_second": "1"}, follow=True)

    assert told(answer)[0].startswith("3 redriven. The last goes on at")
    assert Trigger.objects.due(lane="medium", now=timezone.now()).count() == 1
    filters = [entry.changes["filter"] for entry in AuditEntry.objects.all()]
    assert filters == [{"workflow": "hello", "node": "mail"}] * 3


def test_all_of_a_kind_are_discarded_with_a_reason(console: Client) -> None:
    for _ in range(2):
        failed_letter()
    body = {"code": "invalid_address", "reason": "Wrong list."}

    assert "Discard 2 dead letter(s)?" in said(console.get(f"{by_filter('discard')}?code=invalid_address"))
    assert "Which dead letters?" in said(console.post(by_filter("discard"), {"reason": "Wrong list."}))
    assert DeadLetter.objects.open().count() == 2
    assert told(console.post(by_filter("discard"), body, follow=True)) == ["2 discarded."]

    assert [letter.discard_reason for letter in DeadLetter.objects.all()] == ["Wrong list."] * 2


@pytest.mark.parametrize("deed", ["redrive", "discard"])
def test_a_filter_may_hold_anything(console: Client, deed: str) -> None:
    failed_letter()
    for value in ("\x00", "x" * 500, "<script>", "'; --", "%"):
        for client_call in (console.get, console.post):
            answer = client_call(by_filter(deed), {"workflow": value, "code": value})
            assert (value, answer.status_code) == (value, 200)
            assert "<script>'" not in said(answer)
    assert DeadLetter.objects.open().count() == 1


def test_no_page_tells_whom_it_was_for(console: Client, settings: Any) -> None:
    with FakeSmtp() as server:
        send_to(server, settings)
        server.reply("RCPT", "550 5.1.1 <ann@example.org>: no such user")
        TriggerFactory(recipient=dict(ANN))
        advance_lane("medium")
    letter = DeadLetter.objects.get()

    pages = [LIST, page(letter), page(letter, "discard"), f"{by_filter('redrive')}?code={letter.code}"]
    text = "".join(said(console.get(address)) for address in pages)

    assert "a***@example.org" in text
    assert "ann@example.org" not in text
