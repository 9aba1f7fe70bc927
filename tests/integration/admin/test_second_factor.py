"""The second factor of the admin, as a browser meets it: added, asked for, used once, removed, required."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from accounts import second_factor
from accounts.audit import SYSTEM, Action, Actor, Via
from accounts.models import AuditEntry, TokenFamily, User
from accounts.roles import Role
from accounts.second_factor_views import PENDING
from accounts.sessions import begin_session
from tests.factories import PASSWORD, UserFactory
from tests.integration.admin.codes import CODE, INDEX, LOGIN, PAGE, Clock, clock_for, opens, password_step
from tests.integration.admin.conftest import said, told

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Clock:
    """Return the clock that codes go by; a wrong one is followed by no pause, unless a test sets one."""
    settings.OTP_TOTP_THROTTLE_FACTOR = settings.OTP_STATIC_THROTTLE_FACTOR = 0
    return clock_for(monkeypatch)


@pytest.fixture
def ann(clock: Clock) -> User:
    """Return an operator without a second factor."""
    user: User = UserFactory(username="ann", role=Role.TRIGGER_OPERATOR)
    return user


@pytest.fixture
def codes(ann: User, clock: Clock) -> list[str]:
    """Give Ann a second factor; return her recovery codes."""
    return add(ann, clock)


def add(user: User, clock: Clock) -> list[str]:
    second_factor.new_pending_device(user)
    return second_factor.add(user, clock.next_code(user), by=Actor(user_id=user.pk, name=user.username, via=Via.ADMIN))


def deeds(action: Action) -> list[tuple[str, str]]:
    return [(entry.actor, entry.object_name) for entry in AuditEntry.objects.filter(action=action)]


def given(client: Client, code: str) -> Any:
    return client.post(CODE, {"code": code})


# --- the walk ---


def test_a_person_adds_one_and_signs_in_with_it_from_then_on(ann: User, clock: Clock) -> None:
    browser, _ = password_step(ann)
    assert opens(browser)

    shown = browser.get(PAGE)
    added = browser.post(PAGE, {"action": "add", "code": clock.next_code(ann)})
    browser.post("/admin/logout/")
    _, answer = password_step(ann, browser)
    was_open = opens(browser)
    answer_to_code = given(browser, clock.next_code(ann))

    assert shown.context["secret"].replace(" ", "") in second_factor.secret_text(
        TOTPDevice.objects.get(user=ann)
    ).replace(" ", "")
    assert len(set(added.context["codes"])) == 10
    assert answer["Location"] == CODE
    assert not was_open
    assert answer_to_code["Location"] == INDEX
    assert opens(browser)
    assert deeds(Action.USER_SECOND_FACTOR_ADDED) == [("ann", "ann")]
    assert deeds(Action.USER_SIGNED_IN) == [("ann", "ann"), ("ann", "ann")]


def test_after_the_password_alone_no_page_opens(ann: User, codes: list[str]) -> None:
    browser, _ = password_step(ann)

    patterns: list[Any] = list(admin.site.get_urls())
    addresses = [reverse(f"admin:{pattern.name}") for pattern in patterns if _needs_nothing(pattern)]
    addresses += [
        reverse(f"admin:{each._meta.label_lower.replace('.', '_')}_changelist") for each in admin.site._registry
    ]
    opened = [address for address in addresses if address not in (LOGIN, CODE) and opens(browser, address)]

    assert len(addresses) > 5
    assert opened == []
    assert "_auth_user_id" not in browser.session


def _needs_nothing(pattern: Any) -> bool:
    return bool(getattr(pattern, "name", None)) and "<" not in str(pattern.pattern) and "(" not in str(pattern.pattern)


def test_a_wrong_code_opens_nothing(ann: User, codes: list[str]) -> None:
    browser, _ = password_step(ann)

    answers = [given(browser, code) for code in ("000000", "abcd2345", "", "12345", "-00001", "١٢٣٤٥٦", "9" * 19)]

    assert [answer.status_code for answer in answers] == [200] * 7
    assert all(answer.context["form"].errors for answer in answers)
    assert not opens(browser)


def test_a_code_works_once(ann: User, codes: list[str], clock: Clock) -> None:
    code = clock.next_code(ann)
    first, _ = password_step(ann)
    second, _ = password_step(ann)

    given(first, code)
    given(second, code)

    assert (opens(first), opens(second)) == (True, False)


def test_a_recovery_code_works_once_however_it_is_written(ann: User, codes: list[str]) -> None:
    first, _ = password_step(ann)
    second, _ = password_step(ann)

    given(first, f" {codes[0][:4].upper()}-{codes[0][4:]} ")
    given(second, codes[0])

    assert (opens(first), opens(second)) == (True, False)
    assert StaticToken.objects.filter(device__user=ann).count() == 9


def test_a_wrong_code_is_followed_by_a_pause_in_which_the_right_one_is_wrong_too(
    ann: User, codes: list[str], clock: Clock, settings: Settings
) -> None:
    settings.OTP_TOTP_THROTTLE_FACTOR = 3600
    browser, _ = password_step(ann)

    given(browser, "000000")
    given(browser, clock.next_code(ann))

    assert not opens(browser)


def test_the_next_page_is_the_one_that_was_asked_for_and_no_other_site(
    ann: User, codes: list[str], clock: Clock
) -> None:
    target = reverse("admin:execution_step_changelist")
    kept, _ = password_step(ann, next=target)
    lured, _ = password_step(ann, next="https://elsewhere.example/")

    assert given(kept, clock.next_code(ann))["Location"] == target
    assert given(lured, clock.next_code(ann))["Location"] == INDEX


def test_nothing_is_told_before_the_password_is_right(ann: User, codes: list[str]) -> None:
    client = Client()
    plain = UserFactory(username="bea")

    pages = [client.post(LOGIN, {"username": user.username, "password": "no"}) for user in (ann, plain)]

    assert [page.status_code for page in pages] == [200, 200]
    assert client.get(CODE)["Location"] == LOGIN
    assert given(client, codes[0])["Location"] == LOGIN


# --- what ends a sign-in between its steps ---


@pytest.mark.parametrize(
    "change",
    [
        {"is_active": False},
        {"password": make_password("another one entirely")},
        {"role": Role.WORKER_SERVICE, "is_staff": False},
    ],
)
def test_who_changed_since_the_password_begins_anew(
    ann: User, codes: list[str], clock: Clock, change: dict[str, Any]
) -> None:
    browser, _ = password_step(ann)
    User.objects.filter(pk=ann.pk).update(**change)

    answer = given(browser, clock.next_code(ann))

    assert answer["Location"] == LOGIN
    assert not opens(browser)


def test_the_password_is_remembered_for_ten_minutes(ann: User, codes: list[str], clock: Clock) -> None:
    browser, _ = password_step(ann)
    session = browser.session
    session[PENDING] = {**session[PENDING], "at": (timezone.now() - timedelta(minutes=10)).isoformat()}
    session.save()

    assert given(browser, clock.next_code(ann))["Location"] == LOGIN
    assert not opens(browser)


def test_the_session_gets_another_key_at_each_step(ann: User, codes: list[str], clock: Clock) -> None:
    browser = Client()
    session = browser.session
    session["planted"] = True
    session.save()
    browser.cookies["sessionid"] = str(session.session_key)

    password_step(ann, browser)
    after_password = browser.cookies["sessionid"].value
    given(browser, clock.next_code(ann))

    assert len({session.session_key, after_password, browser.cookies["sessionid"].value}) == 3


# --- sessions ---


def test_a_session_from_before_has_to_give_the_code_too(ann: User, clock: Clock) -> None:
    old, _ = password_step(ann)
    adding, _ = password_step(ann)
    adding.get(PAGE)

    adding.post(PAGE, {"action": "add", "code": clock.next_code(ann)})

    assert (opens(adding), opens(old), opens(old, PAGE)) == (True, False, False)


def test_a_session_made_without_the_doors_opens_nothing(ann: User, codes: list[str]) -> None:
    client = Client()
    client.force_login(ann)

    assert not opens(client)
    assert not opens(client, PAGE)
    assert client.post(PAGE, {"action": "remove", "code": codes[0]}).status_code == 302
    assert second_factor.device_of(ann) is not None


def test_a_session_that_passed_an_earlier_one_has_to_pass_the_new_one(
    ann: User, codes: list[str], clock: Clock
) -> None:
    browser = through(ann, clock)
    was_open = opens(browser)

    second_factor.remove(ann, by=SYSTEM)
    add(ann, clock)

    assert (was_open, opens(browser)) == (True, False)


def test_while_locked_out_the_right_code_is_refused_too(
    ann: User, codes: list[str], clock: Clock, settings: Settings
) -> None:
    settings.AXES_FAILURE_LIMIT = 1
    browser, _ = password_step(ann)
    Client().post(LOGIN, {"username": "ann", "password": "no"})

    answer = given(browser, clock.next_code(ann))

    assert answer.status_code == 429
    assert not opens(browser)


# --- removing ---


def through(user: User, clock: Clock) -> Client:
    browser, _ = password_step(user)
    given(browser, clock.next_code(user))
    return browser


@pytest.mark.parametrize("with_recovery_code", [False, True])
def test_it_is_removed_with_a_code(ann: User, codes: list[str], clock: Clock, with_recovery_code: bool) -> None:
    browser = through(ann, clock)

    browser.post(PAGE, {"action": "remove", "code": "000000"})
    assert second_factor.device_of(ann) is not None
    browser.post(PAGE, {"action": "remove", "code": codes[3] if with_recovery_code else clock.next_code(ann)})

    assert second_factor.device_of(ann) is None
    assert not StaticToken.objects.exists()
    assert opens(browser)
    assert opens(password_step(ann)[0])
    assert deeds(Action.USER_SECOND_FACTOR_REMOVED) == [("ann", "ann")]


def test_what_is_shown_is_the_own_one_only(ann: User, codes: list[str], clock: Clock) -> None:
    bea = UserFactory(username="bea")
    browser, _ = password_step(bea)

    page = browser.get(PAGE, {"user": str(ann.pk)}).content.decode()
    browser.post(PAGE, {"action": "remove", "user": str(ann.pk), "code": clock.next_code(ann)})

    assert second_factor.secret_text(TOTPDevice.objects.get(user=ann)) not in page
    assert second_factor.device_of(ann) is not None


def test_a_secret_that_was_seen_is_not_shown_again(ann: User, clock: Clock) -> None:
    browser, _ = password_step(ann)

    first = browser.get(PAGE).context["secret"]
    second = browser.get(PAGE).context["secret"]
    after_a_wrong_code = browser.post(PAGE, {"action": "add", "code": "000000"}).context["secret"]

    assert first != second
    assert second == after_a_wrong_code
    assert second_factor.device_of(ann) is None


def test_the_page_fetches_nothing_and_is_not_kept(ann: User) -> None:
    browser, _ = password_step(ann)

    response = browser.get(PAGE)

    assert re.match(r"<svg [^>]*viewBox=", response.context["picture"])
    assert re.findall(r'(?:src|href)="(?:https?:)?//', response.content.decode()) == []
    assert "no-store" in response["Cache-Control"]


def test_the_pages_take_no_form_from_another_site(ann: User, codes: list[str], clock: Clock) -> None:
    browser = Client(enforce_csrf_checks=True)
    token = browser.get(LOGIN).context["csrf_token"]
    body = {"username": ann.username, "password": PASSWORD}

    without = browser.post(LOGIN, body).status_code
    browser.post(LOGIN, {**body, "csrfmiddlewaretoken": str(token)})

    assert without == 403
    assert given(browser, clock.next_code(ann)).status_code == 403
    signed_in = Client(enforce_csrf_checks=True)
    signed_in.cookies = through(ann, clock).cookies
    assert signed_in.post(PAGE, {"action": "remove", "code": codes[0]}).status_code == 403
    assert second_factor.device_of(ann) is not None


# --- required of everybody ---


def test_where_it_is_required_the_page_to_add_it_is_the_only_one(ann: User, clock: Clock, settings: Settings) -> None:
    settings.ADMIN_SECOND_FACTOR = "required"
    browser, _ = password_step(ann)

    elsewhere = {
        browser.get(address)["Location"] for address in (INDEX, "/admin/execution/step/", "/admin/password_change/")
    }
    page = browser.get(PAGE)
    browser.post(PAGE, {"action": "add", "code": clock.next_code(ann)})

    assert elsewhere == {PAGE}
    assert page.status_code == 200
    assert set(re.findall(r'href="(/admin/[^"]*)"', said(page))) == set()
    assert opens(browser)


def test_who_is_to_add_one_may_sign_out_instead(ann: User, settings: Settings) -> None:
    settings.ADMIN_SECOND_FACTOR = "required"
    browser, _ = password_step(ann)

    browser.post("/admin/logout/")

    assert "_auth_user_id" not in browser.session


# --- what system admins do ---


@pytest.fixture
def root(clock: Clock) -> Client:
    """Return a browser of a system admin."""
    return password_step(UserFactory(username="root"))[0]


def button(user: User, name: str) -> str:
    return reverse(f"admin:accounts_user_{name}", args=[user.pk])


def test_a_system_admin_removes_that_of_a_lost_phone(root: Client, ann: User, codes: list[str]) -> None:
    asked = root.get(button(ann, "remove_second_factor"))
    before = second_factor.device_of(ann)
    root.post(button(ann, "remove_second_factor"))

    assert asked.status_code == 200
    assert before is not None
    assert second_factor.device_of(ann) is None
    assert opens(password_step(ann)[0])
    assert deeds(Action.USER_SECOND_FACTOR_REMOVED) == [("root", "ann")]


def test_ones_own_is_not_removed_without_a_code(ann: User, clock: Clock) -> None:
    boss = UserFactory(username="boss")
    add(boss, clock)

    answer = through(boss, clock).post(button(boss, "remove_second_factor"), follow=True)

    assert second_factor.device_of(boss) is not None
    assert "removed with a code" in told(answer)[0]


def test_a_system_admin_unlocks_a_user_and_sees_who_is_locked_out(root: Client, ann: User, settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 1
    Client().post(LOGIN, {"username": "ann", "password": "no"})

    shown = said(root.get("/admin/accounts/user/"))
    root.post(button(ann, "unlock"))

    assert shown.count("locked out") == 1
    assert "locked out" not in said(root.get("/admin/accounts/user/"))
    assert deeds(Action.USER_UNLOCKED) == [("root", "ann")]


@pytest.mark.parametrize("name", ["unlock", "remove_second_factor"])
def test_nobody_else_does(ann: User, codes: list[str], name: str) -> None:
    manager, _ = password_step(UserFactory(role=Role.WORKFLOW_MANAGER))

    assert manager.post(button(ann, name)).status_code == 403
    assert second_factor.device_of(ann) is not None


def test_sessions_over_the_api_end_when_one_is_added(ann: User, clock: Clock) -> None:
    begin_session(ann, by=SYSTEM)

    add(ann, clock)

    assert not TokenFamily.objects.filter(user=ann, ended_at=None).exists()
