"""The first page: figures for each role, and cheap ones."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.roles import Role
from execution import console as frame
from execution.models import SweepTick
from tests.factories import TriggerFactory, WorkflowFactory
from tests.integration.admin.conftest import failed_trigger

pytestmark = pytest.mark.django_db


def figures(client: Client) -> dict[str, tuple[str, str]]:
    response: Any = client.get(reverse("admin:index"))
    return {figure["name"]: (figure["value"], figure["note"]) for figure in response.context["figures"]}


def test_the_figures_tell_what_is_waiting_and_what_failed(console: Client) -> None:
    workflow = WorkflowFactory()
    TriggerFactory(workflow=workflow)
    TriggerFactory(workflow=workflow, available_at=timezone.now() + timedelta(hours=1))
    failed_trigger(workflow=workflow)
    SweepTick.objects.create(ticked_at=timezone.now() - timedelta(seconds=2))

    found = figures(console)

    assert found["Enqueued"] == ("2", "1 of them due now")
    assert found["Processing"] == ("0", "held by a worker now")
    assert found["Failed"][0] == "1"
    assert found["Open dead letters"] == ("1", "wait for a person")
    assert found["Active workflows"] == ("1", "and 0 inactive")
    assert found["Sweep"] == ("2 s ago", "delays and repairs are on time")


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (Role.WORKFLOW_MANAGER, ["Active workflows", "Sweep"]),
        (Role.TRIGGER_OPERATOR, ["Enqueued", "Processing", "Failed", "Open dead letters", "Sweep"]),
    ],
)
def test_each_role_gets_its_own_figures(signed_in: Callable[..., Client], role: Role, names: list[str]) -> None:
    assert list(figures(signed_in(role))) == names


def test_a_sweep_that_is_late_or_never_ran_is_told(console: Client) -> None:
    assert figures(console)["Sweep"] == ("never", "no sweep has run: is beat running?")

    SweepTick.objects.create(ticked_at=timezone.now() - timedelta(minutes=5, seconds=1))
    assert figures(console)["Sweep"] == ("5 minutes ago", "too long ago: is beat running?")


def test_no_figure_counts_without_a_bound(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MOST_COUNTED", 1)
    workflow = WorkflowFactory()
    TriggerFactory(workflow=workflow)
    TriggerFactory(workflow=workflow)

    with CaptureQueriesContext(connection) as captured:
        found = figures(console)

    assert found["Enqueued"][0] == "1+"
    of_triggers = [
        query["sql"] for query in captured if "COUNT(" in query["sql"] and "triggers_trigger" in query["sql"]
    ]
    assert len(of_triggers) == 5
    assert [sql for sql in of_triggers if "LIMIT" not in sql] == []
