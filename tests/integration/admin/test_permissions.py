"""The permission matrix, page by page: who sees what, and that nobody edits what the engine owns."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.models import TokenFamily
from accounts.roles import Role
from execution.models import DeadLetter, Step, SweepTick
from tests.factories import TriggerFactory, WorkflowFactory
from tests.integration.admin.conftest import failed_trigger
from triggers.models import Trigger
from workflows.models import WorkflowVersion

pytestmark = pytest.mark.django_db

LISTS = {
    "workflows_workflow": {Role.WORKFLOW_MANAGER, Role.SYSTEM_ADMIN},
    "workflows_workflowversion": {Role.WORKFLOW_MANAGER, Role.SYSTEM_ADMIN},
    "triggers_trigger": {Role.TRIGGER_OPERATOR, Role.SYSTEM_ADMIN},
    "execution_step": {Role.WORKFLOW_MANAGER, Role.TRIGGER_OPERATOR, Role.SYSTEM_ADMIN},
    "execution_deadletter": {Role.TRIGGER_OPERATOR, Role.SYSTEM_ADMIN},
    "accounts_user": {Role.SYSTEM_ADMIN},
    "accounts_apikey": {Role.SYSTEM_ADMIN},
    "accounts_auditentry": {Role.SYSTEM_ADMIN},
}
ENGINE_OWNED = [WorkflowVersion, Trigger, Step, DeadLetter]
STAFF = [Role.WORKFLOW_MANAGER, Role.TRIGGER_OPERATOR, Role.SYSTEM_ADMIN]


@pytest.mark.parametrize("role", STAFF)
@pytest.mark.parametrize("is_superuser", [False, True])
def test_each_role_sees_the_lists_that_the_matrix_gives_it(
    signed_in: Callable[..., Client], role: Role, is_superuser: bool
) -> None:
    client = signed_in(role, is_superuser=is_superuser)

    answers = {name: client.get(reverse(f"admin:{name}_changelist")).status_code for name in LISTS}

    assert answers == {name: 200 if role in roles else 403 for name, roles in LISTS.items()}


@pytest.mark.parametrize("role", STAFF)
def test_the_navigation_offers_what_may_be_opened_and_nothing_else(
    signed_in: Callable[..., Client], role: Role
) -> None:
    response = signed_in(role).get(reverse("admin:index"))

    offered = {item["link"] for group in response.context["sidebar_navigation"] for item in group["items"]}
    visible = {reverse(f"admin:{name}_changelist") for name, roles in LISTS.items() if role in roles}
    assert offered == visible | {reverse("admin:index")}


def test_a_worker_service_can_not_enter(signed_in: Callable[..., Client]) -> None:
    client = signed_in(Role.WORKER_SERVICE, is_superuser=True)

    response = client.get(reverse("admin:index"))

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


def test_a_deactivated_user_can_not_enter(signed_in: Callable[..., Client]) -> None:
    assert signed_in(Role.SYSTEM_ADMIN, is_active=False).get(reverse("admin:index")).status_code == 302


@pytest.mark.parametrize("model", ENGINE_OWNED)
def test_nobody_adds_changes_or_deletes_what_the_engine_owns(
    signed_in: Callable[..., Client], model: type[WorkflowVersion] | type[Trigger] | type[Step] | type[DeadLetter]
) -> None:
    failed_trigger()
    row = model.objects.all()[0]
    client = signed_in(Role.SYSTEM_ADMIN, is_superuser=True)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"

    answers = [
        client.post(reverse(f"{name}_add")).status_code,
        client.post(reverse(f"{name}_change", args=[row.pk]), {"status": "completed"}).status_code,
        client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code,
    ]
    client.post(
        reverse(f"{name}_changelist"), {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    )

    assert answers == [403, 403, 403]
    assert model.objects.filter(pk=row.pk).exists()


def test_what_has_no_place_in_the_admin_is_not_there() -> None:
    assert [model for model in (Group, TokenFamily, SweepTick) if admin.site.is_registered(model)] == []


@pytest.mark.parametrize(
    ("role", "page"),
    [
        (Role.WORKFLOW_MANAGER, "admin:triggers_trigger_cancel"),
        (Role.WORKFLOW_MANAGER, "admin:triggers_trigger_redrive"),
        (Role.WORKFLOW_MANAGER, "admin:triggers_trigger_change"),
        (Role.WORKFLOW_MANAGER, "admin:triggers_trigger_history"),
    ],
)
def test_a_manager_neither_sees_nor_moves_a_trigger(signed_in: Callable[..., Client], role: Role, page: str) -> None:
    trigger = TriggerFactory()

    response = signed_in(role, is_superuser=True).post(reverse(page, args=[trigger.pk]))

    trigger.refresh_from_db()
    assert (response.status_code, trigger.status) == (403, "enqueued")


def test_an_operator_can_not_activate_a_workflow(signed_in: Callable[..., Client]) -> None:
    workflow = WorkflowFactory(is_active=False)

    response = signed_in(Role.TRIGGER_OPERATOR).post(reverse("admin:workflows_workflow_activate", args=[workflow.pk]))

    workflow.refresh_from_db()
    assert (response.status_code, workflow.is_active) == (403, False)


@pytest.mark.parametrize("query", ["recipient__email=ann@example.org", "run_state__isnull=0", "claim_id__isnull=1"])
def test_a_list_is_narrowed_by_its_filters_alone(console: Client, query: str) -> None:
    assert console.get(f"{reverse('admin:triggers_trigger_changelist')}?{query}").status_code == 400


def test_every_deed_needs_its_csrf_token(signed_in: Callable[..., Client]) -> None:
    trigger = TriggerFactory()
    client = signed_in(Role.TRIGGER_OPERATOR)
    client.handler.enforce_csrf_checks = True

    response = client.post(reverse("admin:triggers_trigger_cancel", args=[trigger.pk]))

    trigger.refresh_from_db()
    assert (response.status_code, trigger.status) == (403, "enqueued")
