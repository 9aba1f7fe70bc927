"""An attempt without a clear answer says so: in its step, in what is told of it, and to whoever may redrive it."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.roles import Role
from execution.dead_letters import MAY_HAVE_LEFT
from execution.doubts import Fate, Prospect, prospect_of
from execution.models import DeadLetter, Step
from execution.runner import advance_lane
from execution.states import StepStatus
from tests.factories import DELAY, EMAIL, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.fakes.smtp import FakeSmtp, Stage
from triggers.models import Trigger

pytestmark = pytest.mark.django_db(transaction=True)

ONCE = {"retry": {"max_attempts": 1}}
AT_ONCE = {"retry": {"backoff": {"base_s": 0}}}


def begin(*nodes: dict[str, Any], **fields: Any) -> Trigger:
    return TriggerFactory(workflow=WorkflowFactory(definition=definition(*nodes)), **fields)


@pytest.fixture
def console() -> Client:
    """Return a browser signed in to the admin."""
    client = Client()
    client.force_login(UserFactory(role=Role.SYSTEM_ADMIN))
    return client


def log_of(api: APIClient, trigger: Trigger) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/api/v1/triggers/{trigger.pk}/steps/").json()["results"]
    return found


def key_of(trigger: Trigger) -> str:
    return f"Message-ID or idempotency key {trigger.pk}.mail"


def test_a_failed_attempt_that_may_have_left_says_so_and_that_it_was_tried_again(
    smtp: FakeSmtp, api: APIClient
) -> None:
    trigger = begin({**EMAIL, **AT_ONCE})
    smtp.drop("BODY")

    advance_lane("medium")

    first, second = log_of(api, trigger)
    assert (first["status"], first["error"]["code"], first["error"]["is_in_doubt"]) == ("failed", "disconnected", True)
    assert "which gave no clear answer: no message id came back, and it may have been sent" in first["explanation"]
    assert first["explanation"].endswith(f"It was tried again as attempt 2, under the same {key_of(trigger)}.")
    assert (second["status"], second["error"], second["explanation"]) == ("succeeded", None, "")


@pytest.mark.parametrize("stage", ["CONNECT", "RCPT", "DATA"])
def test_an_attempt_that_surely_did_not_leave_is_not_in_doubt(smtp: FakeSmtp, api: APIClient, stage: Stage) -> None:
    """Also not for `hold`: it is tried again."""
    trigger = begin({**EMAIL, **AT_ONCE, "on_doubt": "hold"})
    smtp.drop(stage)

    advance_lane("medium")

    first, second = log_of(api, trigger)
    assert (first["status"], first["error"]["is_in_doubt"], first["explanation"]) == ("failed", False, "")
    assert second["status"] == "succeeded"
    assert "is_in_doubt" not in Step.objects.get(attempt=1).error  # type: ignore[operator]  # it has one


def test_the_last_attempt_in_doubt_is_told_wherever_somebody_may_redrive_it(
    smtp: FakeSmtp, api: APIClient, console: Client
) -> None:
    trigger = begin({**EMAIL, **ONCE})
    smtp.drop("BODY")

    advance_lane("medium")

    (step,) = log_of(api, trigger)
    assert step["explanation"].endswith(
        f"It is held for a person: look it up at the provider ({key_of(trigger)}), then redrive the trigger, "
        "which sends it again, or leave it."
    )
    assert DeadLetter.objects.get().message.endswith(MAY_HAVE_LEFT)
    page = console.get(reverse("admin:triggers_trigger_change", args=[trigger.pk]))
    (entry,) = page.context["steps"]
    assert entry["sentence"] == step["explanation"]
    assert "The message of node mail would be sent again, though it may have arrived." in page.context["next"]


def test_one_that_surely_was_not_sent_asks_nobody_to_look_it_up(smtp: FakeSmtp, console: Client) -> None:
    trigger = begin({**EMAIL, **ONCE})
    smtp.drop("RCPT")

    advance_lane("medium")

    assert MAY_HAVE_LEFT not in DeadLetter.objects.get().message
    page = console.get(reverse("admin:triggers_trigger_change", args=[trigger.pk]))
    assert page.context["next"].endswith("with all its attempts. What was sent is not sent again.")


def test_it_is_not_sent_again_once_the_workflow_has_gone_on(smtp: FakeSmtp) -> None:
    begin({**EMAIL, **ONCE, "on_failure": "continue"}, DELAY)
    smtp.drop("BODY")

    advance_lane("medium")

    assert prospect_of(Step.objects.get(node_id="mail")) == Prospect(Fate.LEFT_BEHIND)


def test_it_is_not_called_tried_again_when_the_next_attempt_was_dropped_as_late(smtp: FakeSmtp) -> None:
    begin(EMAIL)
    smtp.drop("BODY")
    advance_lane("medium")
    Trigger.objects.update(available_at=timezone.now(), expires_at=timezone.now())

    advance_lane("medium")

    Trigger.objects.update(expires_at=None)
    assert [step.status for step in Step.objects.order_by("attempt")] == [StepStatus.FAILED, StepStatus.FAILED]
    assert prospect_of(Step.objects.get(attempt=1)) == Prospect(Fate.DROPPED)


def test_it_is_not_sent_again_by_a_redrive_once_its_trigger_has_expired(smtp: FakeSmtp) -> None:
    trigger = begin({**EMAIL, **ONCE})
    smtp.drop("BODY")
    advance_lane("medium")
    assert prospect_of(Step.objects.get()) == Prospect(Fate.HELD)

    Trigger.objects.filter(pk=trigger.pk).update(expires_at=timezone.now())

    assert prospect_of(Step.objects.get()) == Prospect(Fate.DROPPED)
