"""`manage.py verify` over rows that have lost what they refer to, where the database has no constraint against it."""

from uuid import uuid4

import pytest

from accounts.audit import SYSTEM
from execution.models import Step
from execution.runner import advance_lane
from execution.verification import orphans
from execution.verification.findings import Kind
from tests.factories import TriggerFactory, WorkflowFactory
from tests.integration.test_verify_command import run_verify
from triggers.acceptance import TriggerRequest, UnknownWorkflow, WorkflowInactive, accept_trigger
from triggers.bulk.acceptance import accept_all
from triggers.bulk.items import Item
from triggers.models import Trigger
from workflows.models import WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "ROWS", 2)


def completed() -> Trigger:
    trigger: Trigger = TriggerFactory()
    advance_lane("medium")
    return trigger


def test_steps_whose_trigger_is_gone_are_found() -> None:
    triggers = [completed() for _ in range(5)]
    gone = triggers[3]
    (step,) = Step.objects.filter(trigger=gone)
    assert run_verify()[0] == []

    Trigger.objects.filter(pk=gone.pk)._raw_delete("default")

    (finding,) = run_verify()[0]
    assert (finding["kind"], finding["trigger"]) == (Kind.STEP_WITHOUT_TRIGGER, str(gone.pk))
    assert str(step.pk) in finding["sentence"]


def test_triggers_whose_version_is_gone_are_found() -> None:
    triggers = [completed() for _ in range(5)]
    missing = uuid4()

    Trigger.objects.filter(pk=triggers[4].pk).update(version_id=missing)

    (finding,) = run_verify()[0]
    assert (finding["kind"], finding["trigger"]) == (Kind.TRIGGER_WITHOUT_VERSION, str(triggers[4].pk))
    assert str(missing) in finding["sentence"]


def test_what_was_made_before_is_left_out() -> None:
    Trigger.objects.filter(pk=completed().pk)._raw_delete("default")

    assert run_verify("--since", "2100-01-01T00:00:00Z")[0] == []
    assert len(run_verify("--since", "2020-01-01T00:00:00Z")[0]) == 1


def test_a_workflow_whose_version_is_gone_takes_no_triggers() -> None:
    workflow = WorkflowFactory(key="broken")
    WorkflowVersion.objects.filter(workflow=workflow).update(number=7)

    with pytest.raises(UnknownWorkflow):
        accept_all(workflow="broken", items=[Item("k", b"{}", b"{}")], by=SYSTEM)
    with pytest.raises(WorkflowInactive):
        accept_trigger(TriggerRequest("broken", "k", {}, {}))


def test_a_trigger_whose_version_is_gone_fails_and_keeps_nobody() -> None:
    broken: Trigger = TriggerFactory()
    Trigger.objects.filter(pk=broken.pk).update(version_id=uuid4())
    fine: Trigger = TriggerFactory()

    advance_lane("medium")

    for trigger in (broken, fine):
        trigger.refresh_from_db()
    assert (broken.status, fine.status) == ("failed", "completed")
    assert WorkflowVersion.objects.count() == 2
