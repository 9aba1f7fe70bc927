"""The admin in a real browser: nothing fails in its console, and nothing is fetched from anywhere else."""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections
from django.utils import timezone
from playwright.sync_api import ConsoleMessage, Page, Request, Response, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.roles import Role
from execution.models import Step
from tests.conftest import access_token
from tests.factories import DELAY, EMAIL, PASSWORD, SMS, TriggerFactory, UserFactory, WorkflowFactory, definition
from triggers.models import Trigger
from workflows.models import Workflow

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")
# Without a display or sandbox, and without the calls home that a browser makes on its own.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Watch:
    """Notes what a page complains about, what it could not get, and whom it asks beside the live server."""

    def __init__(self, page: Page, host: str) -> None:
        self.found: list[str] = []
        self._host = host
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("request", self._request)
        page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme != "data" and address.netloc != self._host:
            self.found.append(f"elsewhere: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"{response.status}: {response.url}")


@pytest.fixture
def page(request: pytest.FixtureRequest, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Return an empty page of a browser, light unless the parameter says dark; its complaints fail the test."""
    # Playwright runs an event loop in this thread, so Django takes the test for asynchronous code and refuses the
    # database. Nothing here is concurrent: the test waits for the browser, and the server has its own threads.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(
            base_url=live_server.url,
            color_scheme=getattr(request, "param", "light"),
            viewport={"width": 1440, "height": 900},
        )
        context.set_default_timeout(15_000)
        opened = context.new_page()
        watch = Watch(opened, urlsplit(live_server.url).netloc)
        yield opened
        opened.wait_for_load_state("networkidle")
        browser.close()
        # Inside the loop Django keeps a connection of its own, which nothing else would close.
        connections.close_all()
    assert watch.found == []


def sign_in(page: Page, role: Role) -> None:
    user = UserFactory(role=role)
    page.goto("/admin/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


def styled(page: Page) -> bool:
    """Say whether both style sheets came: unfold's makes the body a flex column, ours colours the cards."""
    colour: Any = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--nf-line')")
    font: Any = page.evaluate("getComputedStyle(document.body).fontFamily")
    return bool(colour) and "Inter" in font


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_a_manager_signs_in_looks_at_a_workflow_and_activates_it(page: Page) -> None:
    workflow = WorkflowFactory(
        name="Order shipped",
        is_active=False,
        definition=definition(
            EMAIL, DELAY, SMS, edges=[("mail", "wait"), ("wait", "text", "order.total > 10"), ("mail", "text", "late")]
        ),
    )
    sign_in(page, Role.WORKFLOW_MANAGER)
    assert styled(page)

    page.locator("#nav-sidebar-apps").get_by_text("Workflows", exact=True).click()
    page.get_by_role("link", name="Order shipped").click()
    picture = page.get_by_role("region", name="Picture of the workflow").locator("svg")
    expect(picture.locator("g.nf-box")).to_have_count(3)
    expect(picture.locator("g.nf-when")).to_have_count(2)
    assert (picture.bounding_box() or {"height": 0})["height"] > 200

    page.get_by_role("link", name="Activate this workflow").click()
    page.locator("#modal-content").get_by_role("button", name="Activate").click()

    expect(page.get_by_text("Order shipped is active now.")).to_be_visible()
    assert Workflow.objects.get(pk=workflow.pk).is_active


def test_a_manager_writes_a_workflow_and_is_told_what_is_wrong_with_it(page: Page) -> None:
    sign_in(page, Role.WORKFLOW_MANAGER)
    page.goto("/admin/workflows/workflow/add/")
    page.get_by_label("Name").fill("Welcome")
    text = page.locator("textarea[name=definition]").input_value()

    page.locator("textarea[name=definition]").fill(text.replace('"email"', '"emial"'))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".nf-faults")).to_contain_text("nodes.0.type")

    page.locator("textarea[name=definition]").fill(text)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/workflows/workflow/")
    assert Workflow.objects.get().key == "welcome"


def test_an_operator_reads_the_steps_of_a_trigger_and_cancels_it(page: Page) -> None:
    now = timezone.now()
    trigger = TriggerFactory(
        workflow=WorkflowFactory(definition=definition(EMAIL, DELAY, SMS)),
        idempotency_key="order-17-shipped",
        current_node_id="wait",
        available_at=now + timedelta(hours=24),
    )
    Step.objects.create(
        trigger=trigger,
        workflow=trigger.workflow,
        node_id="mail",
        node_type="email",
        attempt=1,
        status="succeeded",
        provider="smtp",
        message_id="<17@example.org>",
        started_at=now,
        finished_at=now,
    )
    sign_in(page, Role.TRIGGER_OPERATOR)

    page.locator("#nav-sidebar-apps").get_by_text("Triggers", exact=True).click()
    page.get_by_placeholder("Whole idempotency key, or id").fill("order-17-shipped")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="order-17-shipped").click()
    expect(page.locator(".nf-timeline .nf-entry")).to_have_count(1)
    expect(page.locator(".nf-timeline")).to_contain_text("<17@example.org>")
    page.get_by_text("Recipient", exact=True).click()
    expect(page.get_by_text('"ann@example.org"')).to_be_visible()

    page.get_by_role("link", name="Cancel this trigger").click()
    dialog = page.locator("#modal-content")
    expect(dialog).to_contain_text("What was sent already stays sent.")
    assert Trigger.objects.get(pk=trigger.pk).status == "enqueued"
    dialog.get_by_role("button", name="Cancel the trigger").click()

    expect(page.get_by_text("Already sent: mail (email by smtp).")).to_be_visible()
    assert Trigger.objects.get(pk=trigger.pk).status == "canceled"


def test_an_operator_filters_triggers_and_cancels_a_selection(page: Page) -> None:
    kept = TriggerFactory(workflow=WorkflowFactory(key="other"))
    canceled = TriggerFactory(workflow=WorkflowFactory(key="order-shipped"))
    sign_in(page, Role.TRIGGER_OPERATOR)
    page.goto("/admin/triggers/trigger/")

    page.locator("a", has_text="Filters").click()
    page.get_by_label("By workflow").fill("order-shipped")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?workflow=order-shipped")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    page.locator("#result_list input.action-select").check()
    page.get_by_label("Select action to run").select_option("cancel_selected")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Cancel them").click()

    expect(page.get_by_text("1 trigger canceled.")).to_be_visible()
    statuses = {trigger.pk: trigger.status for trigger in Trigger.objects.all()}
    assert statuses == {kept.pk: "enqueued", canceled.pk: "canceled"}


def test_the_documentation_of_the_api_opens_and_tries_a_call(page: Page) -> None:
    answer = page.goto("/api/docs/")
    assert answer is not None
    assert "script-src 'self';" in f"{answer.headers['content-security-policy']};"

    token = access_token(UserFactory(role=Role.TRIGGER_OPERATOR))
    page.set_extra_http_headers({"Authorization": f"Bearer {token}"})
    page.get_by_text("/api/v1/me/").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    expect(page.locator(".live-responses-table")).to_contain_text("triggerOperator")
