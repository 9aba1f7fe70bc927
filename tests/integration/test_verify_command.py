"""`manage.py verify` over rows corrupted behind everybody's back, each kind once, and over a system that runs.

The guards are taken out first, as only the owner of the database can: that is a finding of its own.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from execution.cancel import cancel_trigger
from execution.failure_classes import FailureClass
from execution.models import DeadLetter, Step
from execution.redrive import redrive_trigger
from execution.runner import advance_lane
from execution.sweep import sweep
from execution.verification import walk
from execution.verification.findings import Kind
from tests.factories import ANN, DELAY, EMAIL, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.execution.conftest import claim_and_write_intents
from tests.integration.rows import changed, every_row
from triggers.models import Trigger
from workflows.compiled import compiled_version
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority

pytestmark = pytest.mark.django_db(transaction=True)

# The mail is sent, the way over the text is dead, and the delay is waited for.
BRANCHES = definition(
    EMAIL, SMS, DELAY, {**EMAIL, "id": "last"}, edges=[("mail", "text", "false"), ("mail", "wait"), ("wait", "last")]
)


def run_verify(*options: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the command; return its findings and its summary, having checked that it ends as it says."""
    out = StringIO()
    try:
        call_command("verify", "--json", *options, stdout=out)
        code = 0
    except CommandError as error:
        code = error.returncode
    *findings, summary = map(json.loads, out.getvalue().splitlines())
    assert (code, summary["findings"]) == (int(bool(findings)), len(findings))
    return findings, summary


def kinds(*options: str) -> set[str]:
    """Return the kinds that are found, but for the guards that the tests take out."""
    return {finding["kind"] for finding in run_verify(*options)[0]} - {Kind.GUARD_MISSING}


@pytest.fixture
def without_guards() -> Iterator[None]:
    """Take out the constraints, and put them back."""
    taken: list[tuple[Any, Any]] = [(m, c) for m in (Trigger, Step, DeadLetter) for c in m._meta.constraints]
    with connection.schema_editor() as editor:
        for model, constraint in taken:
            editor.remove_constraint(model, constraint)
    yield
    for model in (DeadLetter, Step, Trigger):
        model._base_manager.all().delete()
    with connection.schema_editor() as editor:
        for model, constraint in taken:
            editor.add_constraint(model, constraint)


def waiting() -> Trigger:
    """Return a trigger that waits in its delay; one branch of it is skipped."""
    trigger: Trigger = TriggerFactory(workflow=WorkflowFactory(definition=BRANCHES))
    advance_lane("medium")
    return trigger


def completed() -> Trigger:
    trigger: Trigger = TriggerFactory(workflow=WorkflowFactory(definition=definition(EMAIL, SMS)))
    advance_lane("medium")
    return trigger


def failed() -> Trigger:
    trigger: Trigger = TriggerFactory(recipient={"email": "nobody"})
    advance_lane("medium")
    return trigger


def due() -> Trigger:
    trigger: Trigger = TriggerFactory()
    return trigger


def held() -> Trigger:
    trigger: Trigger = TriggerFactory()
    claim_and_write_intents()
    return trigger


def test_nothing_is_wrong_with_triggers_that_stand_anywhere(without_guards: None) -> None:
    """Also with those whose worker was lost, that were swept, redriven or canceled."""
    for make in (waiting, completed, failed):
        make()
    redriven = failed()
    redrive_trigger(redriven.pk)
    canceled = waiting()
    cancel_trigger(canceled.pk)
    held()
    sweep(now=timezone.now() + timedelta(minutes=10))
    assert Step.objects.filter(status="in_doubt").exists()
    held()
    due()
    TriggerFactory(available_at=timezone.now() + timedelta(days=9))

    findings, summary = run_verify()

    assert {finding["kind"] for finding in findings} == {Kind.GUARD_MISSING}
    assert (summary["checked"], summary["without_graph"]) == (9, 0)
    assert summary["sweep"]["freed_triggers"] > 0


def other_workflow() -> Workflow:
    found: Workflow = WorkflowFactory(key="other")
    return found


def copy_step(trigger: Trigger, like: str, /, **changes: Any) -> None:
    step = trigger.steps.filter(node_id=like).latest("pk")
    step.pk = None
    for name, value in changes.items():
        setattr(step, name, value)
    step._state.adding = True
    step.id = Step._meta.pk.get_default()
    step.save(force_insert=True)


def open_letter(trigger: Trigger) -> None:
    DeadLetter.objects.create(
        trigger=trigger,
        workflow=trigger.workflow,
        node_id="mail",
        code="timeout",
        failure_class=FailureClass.EXHAUSTED,
        is_transient=True,
        attempts=3,
        first_failed_at=HOURS_AGO,
        last_failed_at=HOURS_AGO,
    )


def steps(trigger: Trigger, node_id: str) -> Any:
    return Step.objects.filter(trigger=trigger, node_id=node_id)


def row(trigger: Trigger) -> Any:
    return Trigger.objects.filter(pk=trigger.pk)


def overdue(trigger: Trigger) -> None:
    """Have it due for hours, in a lane that nothing was taken from: what was sent before is of another."""
    row(trigger).update(available_at=HOURS_AGO, updated_at=HOURS_AGO, priority=Priority.LOW)


HOURS_AGO = timezone.now() - timedelta(hours=5)
CLAIM = "01900000-0000-7000-8000-000000000000"
# For each kind, a trigger and what is done to its rows.
CORRUPTIONS: dict[Kind, tuple[Callable[[], Trigger], Callable[[Trigger], Any]]] = {
    Kind.VERSION_OF_OTHER_WORKFLOW: (
        due, lambda t: row(t).update(version=WorkflowVersion.objects.get(workflow=other_workflow()))),
    Kind.CLAIM_AGAINST_STATUS: (completed, lambda t: row(t).update(claim_id=CLAIM)),
    Kind.END_AGAINST_STATUS: (completed, lambda t: row(t).update(completed_at=None)),
    Kind.LEASE_OVERDUE: (held, lambda t: row(t).update(lease_expires_at=HOURS_AGO)),
    Kind.LEASE_TOO_LONG: (held, lambda t: row(t).update(lease_expires_at=timezone.now() + timedelta(hours=1))),
    Kind.UNSERVED: (due, overdue),
    Kind.ERROR_MISSING: (failed, lambda t: row(t).update(error=None)),
    Kind.DEAD_LETTER_MISSING: (failed, lambda t: t.dead_letters.update(redriven_at=HOURS_AGO)),
    Kind.DEAD_LETTER_WITHOUT_FAILURE: (completed, open_letter),
    Kind.STATE_UNREADABLE: (completed, lambda t: row(t).update(run_state=[])),
    Kind.STATE_AGAINST_GRAPH: (completed, lambda t: row(t).update(run_state=t_state(t, ended={"mail": "succeeded"}))),
    Kind.STATUS_AGAINST_STATE: (waiting, lambda t: row(t).update(status="completed", completed_at=HOURS_AGO)),
    Kind.NODE_AGAINST_STATE: (waiting, lambda t: row(t).update(current_node_id="mail")),
    Kind.TOO_EARLY: (waiting, lambda t: row(t).update(available_at=timezone.now())),
    Kind.STEP_OF_OTHER_WORKFLOW: (completed, lambda t: steps(t, "mail").update(workflow=other_workflow())),
    Kind.STEP_OF_UNKNOWN_NODE: (completed, lambda t: copy_step(t, "mail", node_id="gone")),
    Kind.STEP_OF_UNREACHED_NODE: (waiting, lambda t: copy_step(t, "mail", node_id="last")),
    Kind.SUCCEEDED_TWICE: (completed, lambda t: copy_step(t, "mail", attempt=2)),
    Kind.SUCCEEDED_WITHOUT_STEP: (completed, lambda t: steps(t, "mail").delete()),
    Kind.FAILED_WITHOUT_STEP: (failed, lambda t: steps(t, "mail").delete()),
    Kind.SKIPPED_BUT_SENT: (waiting, lambda t: steps(t, "text").update(status="succeeded", attempt=1)),
    Kind.SKIPPED_WITHOUT_STEP: (waiting, lambda t: steps(t, "text").delete()),
    Kind.WAITING_AGAINST_STATE: (waiting, lambda t: steps(t, "wait").delete()),
    Kind.ATTEMPTS_BROKEN: (completed, lambda t: steps(t, "mail").update(attempt=3)),
    Kind.RUNNING_TOO_LONG: (held, lambda t: steps(t, "mail").update(started_at=HOURS_AGO)),
    Kind.TWO_AT_ONCE: (held, lambda t: copy_step(t, "mail", attempt=2)),
    Kind.ORDER_AGAINST_EDGES: (completed, lambda t: steps(t, "text").update(started_at=HOURS_AGO)),
}  # fmt: skip


def t_state(trigger: Trigger, **parts: Any) -> dict[str, Any]:
    trigger.refresh_from_db()
    return {**(trigger.run_state or {}), **parts}


def test_each_kind_is_corrupted_here() -> None:
    about_the_database = {Kind.GUARD_MISSING, Kind.TRIGGER_WITHOUT_VERSION, Kind.STEP_WITHOUT_TRIGGER}
    assert set(Kind) - set(CORRUPTIONS) == about_the_database


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_what_was_corrupted_is_found_and_nothing_else(without_guards: None, kind: Kind) -> None:
    make, corrupt = CORRUPTIONS[kind]
    fine, trigger = completed(), make()
    assert kinds() == set()

    corrupt(trigger)

    findings = [finding for finding in run_verify()[0] if finding["kind"] != Kind.GUARD_MISSING]
    assert [(finding["kind"], finding["trigger"]) for finding in findings] == [(kind, str(trigger.pk))]
    assert findings[0]["sentence"].endswith(".")
    assert str(fine.pk) not in {finding["trigger"] for finding in findings}


def test_guards_that_are_missing_are_named(without_guards: None) -> None:
    findings, _ = run_verify()

    assert {finding["kind"] for finding in findings} == {Kind.GUARD_MISSING}
    said = " ".join(finding["sentence"] for finding in findings)
    for name in ("trigger_once", "step_succeeds_once", "trigger_claimed_while_processing", "dead_letter_open_once"):
        assert f"constraint {name}." in said


def test_a_foreign_key_that_is_missing_is_named() -> None:
    assert run_verify()[0] == []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'execution_deadletter'::regclass AND contype = 'f'"
        )
        ((name, text),) = cursor.fetchall()
        cursor.execute(f"ALTER TABLE execution_deadletter DROP CONSTRAINT {name}")
        try:
            assert [finding["sentence"] for finding in run_verify()[0]] == [
                "The table execution_deadletter has no foreign key from trigger_id."
            ]
        finally:
            cursor.execute(f"ALTER TABLE execution_deadletter ADD CONSTRAINT {name} {text}")


def test_it_changes_nothing_and_can_not() -> None:
    for make in (waiting, completed, failed, due):
        make()
    before = every_row()

    run_verify()

    assert changed(before) == set()
    with pytest.raises(Exception, match="read-only transaction"), walk._snapshot():
        Trigger.objects.update(attempts=7)


def test_it_goes_through_all_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "BATCH", 2)
    for _ in range(5):
        completed()
    last = failed()
    last.dead_letters.all().delete()

    findings, summary = run_verify()

    assert (summary["checked"], [finding["trigger"] for finding in findings]) == (6, [str(last.pk)])


def test_only_one_workflow_or_what_was_made_since() -> None:
    old, new = failed(), failed()
    DeadLetter.objects.all().delete()
    assert len(run_verify()[0]) == 2

    assert [finding["trigger"] for finding in run_verify("--workflow", old.workflow.key)[0]] == [str(old.pk)]
    assert [finding["trigger"] for finding in run_verify("--workflow", str(new.workflow_id))[0]] == [str(new.pk)]
    tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
    assert run_verify("--since", tomorrow)[1]["checked"] == 0
    assert run_verify("--since", "2025-01-01T00:00:00Z")[1]["checked"] == 2


@pytest.mark.parametrize(
    "options", [["--workflow", "nothing"], ["--since", "yesterday"], ["--since", "2025-01-01T00:00"]]
)
def test_what_it_can_not_understand_it_says(options: list[str]) -> None:
    with pytest.raises(CommandError, match=options[1]):
        call_command("verify", *options)


def test_words_for_people() -> None:
    trigger = failed()
    trigger.dead_letters.all().delete()
    out = StringIO()

    with pytest.raises(CommandError, match=r"1 finding\(s\)"):
        call_command("verify", stdout=out)

    finding, checked, repaired = out.getvalue().splitlines()
    assert finding.startswith(f"dead_letter_missing  {trigger.pk}  It failed and has no dead letter")
    assert checked.startswith("1 triggers checked in ")
    assert repaired == "No sweep has run yet."


def test_a_version_that_can_not_be_read_any_more_is_told_and_no_finding() -> None:
    trigger = completed()
    WorkflowVersion.objects.filter(pk=trigger.version_id).update(definition={"nodes": []})
    compiled_version.cache_clear()

    assert run_verify()[1]["without_graph"] == 1


def test_what_looks_wrong_at_first_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was wrong for the first look and is mended by the second is nobody's business."""
    trigger = failed()
    letters = list(trigger.dead_letters.all())
    trigger.dead_letters.all().delete()
    look = walk._confirmed

    def mend(*args: Any) -> Any:
        DeadLetter.objects.bulk_create(letters)
        return look(*args)

    monkeypatch.setattr(walk, "_confirmed", mend)
    assert run_verify()[0] == []


def test_beside_workers_that_work_nothing_is_found() -> None:
    """Each batch is one snapshot: no trigger moves between the look at it and the look at its steps."""
    workflow = WorkflowFactory(definition=definition(EMAIL, {**EMAIL, "id": "second"}, SMS))
    version = workflow.versions.get()
    recipients = [ANN if n % 5 else {"email": "nobody"} for n in range(600)]
    built = [TriggerFactory.build(workflow=workflow, version=version, recipient=each) for each in recipients]
    Trigger.objects.bulk_create(built)
    is_done = Event()

    def work() -> None:
        try:
            while advance_lane("medium"):
                pass
        finally:
            is_done.set()
            connection.close()

    rounds = 0
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while not is_done.is_set():
            findings, _ = run_verify()
            assert findings == []
            rounds += 1
        working.result()

    assert rounds > 0
    assert run_verify()[0] == []
    assert set(Trigger.objects.values_list("status", flat=True)) == {"completed", "failed"}
