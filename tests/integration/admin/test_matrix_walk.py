"""Invariant 10, in the admin: every page and every action, asked for by everybody, by GET and by POST."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.urls import reverse

from tests.integration.admin.walk import (
    ACTIONS,
    LOGIN,
    MATRIX,
    WHO,
    World,
    browser_of,
    is_let_in,
    may_open,
    page_names,
)
from tests.integration.rows import changed, every_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    """Return one row of each kind."""
    return World()


def test_every_page_and_action_is_in_the_matrix() -> None:
    actions = {
        (f"{model._meta.app_label}_{model._meta.model_name}", name)
        for model, pages in admin.site._registry.items()
        for _, name, _ in pages._get_base_actions()  # type: ignore[attr-defined]  # not in Django's published types
    }

    assert page_names() == set(MATRIX)
    assert actions == set(ACTIONS)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", MATRIX)
def test_each_page_is_open_to_whom_the_matrix_names_and_to_nobody_else(world: World, name: str, method: str) -> None:
    page, url = MATRIX[name], world.url(name)
    browsers = {who: browser_of(who) for who in WHO}
    before = every_row()
    for who, browser in browsers.items():
        if not may_open(who, page):
            answer = browser.generic(method, url) if method == "GET" else browser.post(url, world.body(name))
            expected = refusal(who, page.denied, page.away_to)
            # That a page takes no POST from anybody is a refusal as well.
            assert (who, outcome(answer)) in [(who, expected), (who, (405, "") if method == "POST" else expected)]
    assert changed(before) == set()
    for who, browser in browsers.items():
        if may_open(who, page):
            with transaction.atomic():
                answer = browser.get(url) if method == "GET" else browser.post(url, world.body(name))
                statuses = page.get if method == "GET" else (page.post,)
                assert (who, answer.status_code in statuses) == (who, True), answer.status_code
                assert not answer.headers.get("Location", "").startswith(LOGIN)
                assert bool(changed(before)) == (page.changes if method == "POST" else page.get_changes)
                transaction.set_rollback(True)


@pytest.mark.parametrize(("model", "action"), ACTIONS)
def test_each_action_is_open_to_whom_the_matrix_names_and_to_nobody_else(world: World, model: str, action: str) -> None:
    may, about = ACTIONS[model, action]
    url = reverse(f"admin:{model}_changelist")
    body = {"action": action, ACTION_CHECKBOX_NAME: [str(world.rows[about].pk)], "confirmed": "yes", "post": "yes"}
    body["reason"] = "Wrong."
    browsers = {who: browser_of(who) for who in WHO}
    before = every_row()
    for who, browser in browsers.items():
        with transaction.atomic():
            answer = browser.post(url, body)
            may_look = may_open(who, MATRIX[f"{model}_changelist"])
            if not may_look:
                assert (who, outcome(answer)) == (who, refusal(who))
            else:
                assert (who, answer.status_code in (200, 302)) == (who, True)
            is_granted = who.partition(" ")[0] in may
            assert (who, bool(changed(before))) == (who, is_granted)
            transaction.set_rollback(True)
        assert changed(before) == set()


def outcome(answer: Any) -> tuple[int, str]:
    """Return an answer's status, and where it leads, without the address to come back to."""
    return answer.status_code, answer.headers.get("Location", "").partition("?")[0]


def refusal(who: str, status: int = 403, away_to: str = LOGIN) -> tuple[int, str]:
    """Return what somebody is told who may not: those who can't enter are asked to sign in as somebody else."""
    return (status, LOGIN if status == 302 else "") if is_let_in(who) else (302, away_to)
