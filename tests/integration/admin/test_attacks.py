"""What somebody with bad intentions tries on the admin: forged forms, redirects, frames, scripts in what it shows."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from execution.models import DeadLetter
from tests.factories import EMAIL, PASSWORD, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.integration.admin.conftest import failed_trigger, step
from tests.integration.admin.walk import ACTIONS, ADMIN, MATRIX, World, browser_of
from tests.integration.rows import changed, every_row
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

NOBODY_S_ID = "01900000-0000-7000-8000-000000000000"

AWAY = ["https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "javascript:alert(1)",
        "https:evil.example", "http://testserver@evil.example/", "\thttps://evil.example", "data:text/html,x",
        "//evil.example\\@testserver", "https://testserver.evil.example/", "/%0d%0aLocation:%20//evil"]  # fmt: skip
SCRIPTS = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'", "javascript:alert(1)",
           "</pre></details><svg onload=alert(1)>", "{{ 7|add:7 }}{% debug %}", "&lt;script&gt;")  # fmt: skip
ODD = ["'", "' OR 1=1 --", "%00", "x" * 3000, "-1", "99999999999999999999", "٣", "%ED%A0%80", "a,b", "{}", "%0d%0a", ""]


@pytest.fixture
def world() -> World:
    """Return one row of each kind."""
    return World()


# --- forged forms ---


@pytest.mark.parametrize("name", MATRIX)
def test_no_post_is_taken_without_its_csrf_token(world: World, name: str) -> None:
    """By a forged page the browser of an admin sends cookies, never the token."""
    url = world.url(name)
    browser = browser_of(ADMIN, enforce_csrf_checks=True)
    browser.get(reverse("admin:index"))
    before = every_row()

    answers = [
        browser.post(url, world.body(name)),
        browser.post(url, {**world.body(name), "csrfmiddlewaretoken": "x" * 64}),
        browser.post(url, world.body(name), headers={"X-CSRFToken": "x" * 32, "Origin": "https://evil.example"}),
        browser.post(url, world.body(name), headers={"Origin": "null"}),
        browser.post(f"{url}{'&' if '?' in url else '?'}_method=GET", world.body(name), content_type="text/plain"),
    ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert changed(before) == set()


@pytest.mark.parametrize(("model", "action"), ACTIONS)
def test_no_action_is_taken_without_its_csrf_token(world: World, model: str, action: str) -> None:
    row = world.rows[ACTIONS[model, action][1]]
    browser = browser_of(ADMIN, enforce_csrf_checks=True)
    before = every_row()

    body = {"action": action, "_selected_action": [str(row.pk)], "confirmed": "yes", "post": "yes"}

    assert browser.post(reverse(f"admin:{model}_changelist"), body).status_code == 403
    assert changed(before) == set()


@pytest.mark.parametrize("name", [name for name, page in MATRIX.items() if page.changes and not page.get_changes])
def test_no_get_does_what_a_post_does(world: World, name: str) -> None:
    browser = browser_of(ADMIN)
    before = every_row()

    for headers in ({}, {"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "POST"}):
        browser.get(world.url(name), {**world.body(name), "_method": "POST", "post": "yes"}, headers=headers)

    assert changed(before) == set()


# --- redirects, frames, headers ---


@pytest.mark.parametrize("to", AWAY)
def test_signing_in_leads_nowhere_but_here(to: str) -> None:
    UserFactory(username="ann")
    body = {"username": "ann", "password": PASSWORD, "next": to}

    answers = [
        Client().post("/admin/login/", body),
        Client().post("/admin/login/", body, query_params={"next": to}),
        Client().get(f"/admin/{to}"),
    ]

    for answer in answers:
        led = answer.headers.get("Location", "/")
        assert led.startswith("/")
        assert not led.startswith(("//", "/\\"))


def test_no_page_can_be_framed_cached_by_others_or_taken_for_another_kind(world: World) -> None:
    browser = browser_of(ADMIN)
    for name in MATRIX:
        answer = browser.get(world.url(name))
        assert (name, answer.headers["X-Frame-Options"]) == (name, "DENY")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        # These say nothing of anybody; Django lets browsers keep them.
        if answer.status_code == 200 and name not in ("jsi18n", "password_change", "password_change_done"):
            assert (name, "private" in answer.headers.get("Cache-Control", "")) == (name, True)


def test_the_cookies_are_for_the_server_alone() -> None:
    UserFactory(username="ann")
    answer = Client().post("/admin/login/", {"username": "ann", "password": PASSWORD})
    session = answer.cookies["sessionid"]
    assert (bool(session["httponly"]), session["samesite"]) == (True, "Lax")


# --- what an address or a form can smuggle in ---


def test_no_address_ends_in_a_fault(world: World) -> None:
    """Whatever stands where an id, a number, a filter or a search should."""
    browser = browser_of(ADMIN)
    kind = ContentType.objects.get_for_model(Workflow).pk
    before = every_row()
    faults = []
    for odd in ODD:
        lists = [f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry]
        paths = [f"{reverse(name)}?{key}={odd}" for name in lists for key in ("q", "p", "o", "e", "all", "_popup")]
        for pages in admin.site._registry.values():
            names = [getattr(each, "parameter_name", "") for each in pages.list_filter]
            list_url = reverse(f"admin:{pages.opts.app_label}_{pages.opts.model_name}_changelist")
            paths += [f"{list_url}?{name}={odd}" for name in names]
            paths += [f"{list_url}{odd or 'x'}/{page}/" for page in ("change", "history", "delete")]
        paths += [f"/admin/search/?s=a&page={odd}", f"/admin/search/?s={odd}", f"/admin/r/{kind}/{odd or 'x'}/"]
        paths += [f"/admin/r/{odd or 'x'}/{kind}/", f"/admin/autocomplete/?app_label={odd}&model_name={odd}&term={odd}"]
        paths += [f"/admin/accounts/user/{odd or 'x'}/password/", f"/admin/?next={odd}", f"/admin/{odd}"]
        faults += [path for path in paths if browser.get(path).status_code >= 500]
    assert faults == []
    assert changed(before) == set()


@pytest.mark.parametrize(("model", "action"), ACTIONS)
def test_no_selection_ends_in_a_fault(world: World, model: str, action: str) -> None:
    browser = browser_of(ADMIN)
    before = every_row()
    for odd in (
        "",
        "x",
        "\x00",
        "'; DROP TABLE accounts_user; --",
        "9" * 40,
        "-1",
        "01900000-0000-7000-8000-000000000000",
    ):
        for more in ({}, {"confirmed": "yes"}, {"index": odd}, {"select_across": "1"}):
            body = {"action": action, "_selected_action": [odd], "index": "0", **more}
            answer = browser.post(reverse(f"admin:{model}_changelist"), body)
            assert (odd, answer.status_code in (200, 302, 400)) == (odd, True)
    assert changed(before) == set()


@pytest.mark.parametrize(
    "smuggled",
    [{"is_superuser": "on"}, {"is_staff": "on"}, {"is_service": "on"}, {"id": "01900000-0000-7000-8000-000000000000"},
     {"password": "plain"}, {"groups": "1"}, {"user_permissions": "1"}, {"date_joined_0": "2001-01-01"},
     {"last_login_0": "2001-01-01"}],
)  # fmt: skip
def test_a_form_takes_no_field_that_it_does_not_show(smuggled: dict[str, str]) -> None:
    user = UserFactory(username="ann", role=Role.WORKER_SERVICE)
    before = User.objects.filter(pk=user.pk).values().get()
    browser = browser_of(ADMIN)
    body = {"username": "ann", "email": user.email, "role": user.role, "is_active": "on", **smuggled}

    answer = browser.post(reverse("admin:accounts_user_change", args=[user.pk]), body)

    assert answer.status_code == 302
    assert User.objects.filter(pk=user.pk).values().get() == before
    made = {"username": "bea", "role": user.role, "password1": "a long enough one", "password2": "a long enough one"}
    browser.post(reverse("admin:accounts_user_add"), {**made, **smuggled})
    held = ("is_superuser", "is_staff", "is_service", "rate_limit")
    # Of a new user it is asked whether it is a service account, and one with a password is refused.
    expected = [] if "is_service" in smuggled else [(False, False, False, None)]
    assert list(User.objects.filter(username="bea").values_list(*held)) == expected


@pytest.mark.parametrize("smuggled", ["version", "is_active", "id", "created_at", "deleted_at", "key"])
def test_a_workflow_s_form_takes_no_field_that_it_does_not_show(world: World, smuggled: str) -> None:
    workflow = world.rows["workflow"]
    body = {**world.body("workflows_workflow_change"), smuggled: "7"}
    kept = ("id", "key", "is_active", "created_at", "deleted_at")

    browser_of(ADMIN).post(reverse("admin:workflows_workflow_change", args=[workflow.pk]), body)

    now = Workflow.objects.get(pk=workflow.pk)
    assert (now.name, now.version) == ("Other", 1)
    assert [getattr(now, name) for name in kept] == [getattr(workflow, name) for name in kept]


# --- scripts in what is shown ---


def poisoned(script: str) -> dict[str, str]:
    """Store a script wherever the database takes one, and return the pages that show it."""
    user = UserFactory(username=script[:150], email=f"{script}@example.org")
    node = {**EMAIL, "id": script, "subject": script, "body": script, "to": script}
    after = {"id": f"{script} 2", "type": script, "body": script}
    dag = definition(node, after, edges=[(script, f"{script} 2", script)])
    workflow = WorkflowFactory(key=script, name=script, definition=dag)
    error = {"code": script[:60], "message": script, "is_transient": False}
    failed = failed_trigger(
        workflow=workflow,
        idempotency_key=script,
        recipient={script: script},
        context={script: [script]},
        current_node_id=script[:64],
        error={**error, "node_id": script},
    )
    done = step(failed, node_id=script[:64], node_type=script[:20], provider=script[:20], message_id=script,
                output={"missing_variables": [script], script: script})  # fmt: skip
    refused = step(failed, node_id=script[:64], status="failed", error=error, attempt=2)
    letter = DeadLetter.objects.get()
    DeadLetter.objects.update(node_id=script[:64], code=script[:60], message=script)
    waiting = TriggerFactory(workflow=workflow, idempotency_key=f"{script}!", current_node_id=script[:64])
    of: dict[str, list[Any]] = {
        "accounts_user": [user],
        "workflows_workflow": [workflow],
        "workflows_workflowversion": [failed.version],
        "triggers_trigger": [failed, waiting],
        "execution_step": [done, refused],
        "execution_deadletter": [letter],
    }
    pages = {"index": reverse("admin:index")}
    for name, rows in of.items():
        pages[name] = reverse(f"admin:{name}_changelist")
        for number, row in enumerate(rows):
            for page in ("change", "history"):
                pages[f"{name} {page} {number}"] = reverse(f"admin:{name}_{page}", args=[row.pk])
    pages["cancel"] = reverse("admin:triggers_trigger_cancel", args=[waiting.pk])
    pages["redrive"] = reverse("admin:execution_deadletter_redrive", args=[letter.pk])
    pages["delete"] = reverse("admin:workflows_workflow_delete", args=[workflow.pk])
    pages["password"] = reverse("admin:auth_user_password_change", args=[user.pk])
    return pages


@pytest.mark.parametrize("script", SCRIPTS)
def test_whatever_is_shown_comes_as_text(console: Client, script: str) -> None:
    """Past every check of the API: the rows are in the database as somebody's mistake might leave them."""
    pages = poisoned(script)
    shown = set()
    for name, url in pages.items():
        answer = console.get(url, follow=True)
        assert (name, answer.status_code) == (name, 200)
        text = answer.content.decode()
        assert_is_text(name, text, script)
        if "alert(1)" in text or "&amp;lt;" in text or "7|add:7" in text:
            shown.add(name)
    # Otherwise the test looks at pages that show nothing of it.
    assert shown >= {
        "accounts_user",
        "workflows_workflow",
        "triggers_trigger",
        "execution_step",
        "execution_deadletter",
    }


@pytest.mark.parametrize("script", SCRIPTS[:2])
def test_what_was_typed_comes_back_as_text(console: Client, script: str) -> None:
    for url in [
        f"{reverse('admin:workflows_workflow_changelist')}?q={script}",
        f"{reverse('admin:execution_deadletter_changelist')}?code={script}&node_id={script}",
        f"{reverse('admin:triggers_trigger_changelist')}?workflow={script}",
        f"/admin/search/?s={script}",
        f"/admin/login/?next={script}",
        f"/admin/workflows/workflow/{script.replace('/', '')}/change/",
    ]:
        assert_is_text(url, console.get(url, follow=True).content.decode(), script)
    answer = console.post(
        reverse("admin:workflows_workflow_add"),
        {"name": script, "key": script, "priority": script, "definition": f'{{"nodes": "{script}", "{script}": 1}}'},
    )
    assert answer.status_code == 200
    assert_is_text("form", answer.content.decode(), script)
    user = console.post(reverse("admin:accounts_user_add"), {"username": script, "email": script, "role": script})
    assert_is_text("user form", user.content.decode(), script)
    signed = Client().post("/admin/login/", {"username": script, "password": script})
    assert_is_text("login", signed.content.decode(), script)


def assert_is_text(name: str, page: str, script: str) -> None:
    """See that nothing of a script can run, be it as an element, an attribute or an address."""
    if "<" in script:
        assert script not in page, name
    assert not re.search(r"<(?:script>alert|img src=x|svg onload)", page), name
    for _, value in re.findall(r"""\b(href|src|action|formaction)=["']?\s*([^"'>\s]+)""", page):
        assert not value.lower().startswith("javascript:"), (name, value)
    assert "14{" not in page, name
    assert not re.search(r"""=\s*'[^']*'-alert""", page), name
