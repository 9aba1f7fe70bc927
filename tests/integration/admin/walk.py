"""The admin, page by page: its addresses as its resolver gives them, and who may open each, as the guide has it.

A page that is registered and has no line here fails `test_matrix_walk.py`; so does a line without a page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.admin_texts import pretty_json
from accounts.api_keys import create_key
from accounts.audit import SYSTEM
from accounts.models import AuditEntry, User
from accounts.roles import Role
from execution.models import DeadLetter
from tests.factories import EMAIL, PASSWORD, TriggerFactory, UserFactory, WorkflowFactory, definition
from tests.integration.admin.conftest import failed_trigger

MANAGER, OPERATOR, ADMIN, WORKER = Role
NOBODY: frozenset[str] = frozenset()
STAFF = frozenset({MANAGER, OPERATOR, ADMIN})
EVERYBODY = frozenset({*Role, "anonymous", "inactive", "service"})
WORKFLOWS = frozenset({MANAGER, ADMIN})
STEP_LOGS = frozenset({MANAGER, OPERATOR, ADMIN})
TRIGGERS = frozenset({OPERATOR, ADMIN})
USERS = frozenset({ADMIN})

LOGIN = "/admin/login/"
NEW_PASSWORD = "battery horse staple correct"


@dataclass(frozen=True)
class Page:
    """Who may open a page, what a GET and a POST give them, and what a refusal is.

    `get` and `post` are the statuses; most pages are the same for both. `changes` says that the POST does something,
    `get_changes` the GET. `about` names the row of the world in its address; `away_to` is where those are sent who
    can't enter at all.
    """

    who: frozenset[str]
    get: tuple[int, ...] = (200,)
    post: int = 200
    changes: bool = False
    get_changes: bool = False
    denied: int = 403
    away_to: str = LOGIN
    about: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    query: str = ""


def model_pages(name: str, who: frozenset[str], about: str, **written: Page) -> dict[str, Page]:
    """Return the pages that Django gives to every model: seen by `who`, written by nobody but as `written` has it."""
    return {
        f"{name}_changelist": Page(who),
        f"{name}_add": written.get("add", Page(NOBODY)),
        f"{name}_change": written.get("change", Page(who, post=403, about=about)),
        f"{name}_history": Page(who, about=about),
        f"{name}_delete": written.get("delete", Page(NOBODY, about=about)),
        f"{name}_": Page(STAFF, get=(302,), post=302, about=about),
    }


DAG = pretty_json(definition(EMAIL))
MATRIX: dict[str, Page] = {
    "index": Page(STAFF),
    # Who is in already is sent on.
    "login": Page(EVERYBODY, get=(200, 302)),
    # Without a right password lately it leads back to where that is asked for.
    "login_code": Page(NOBODY, denied=302),
    # Each look at it draws a new secret, which is worth nothing until its code is given.
    "second_factor": Page(STAFF, get_changes=True, changes=True),
    "logout": Page(STAFF, get=(405,), away_to="/admin/"),
    "password_change": Page(
        STAFF,
        post=302,
        changes=True,
        body={"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD},
    ),
    "password_change_done": Page(STAFF, post=405),
    "jsi18n": Page(STAFF, post=405),
    "search": Page(STAFF, query="?s=e"),
    # No field of any page is chosen from another model's list.
    "autocomplete": Page(NOBODY, query="?app_label=accounts&model_name=user&field_name=id&term=a"),
    "app_list accounts": Page(USERS, denied=404),
    "app_list workflows": Page(WORKFLOWS, denied=404),
    "app_list triggers": Page(TRIGGERS, denied=404),
    "app_list execution": Page(STEP_LOGS, denied=404),
    "catch_all": Page(NOBODY, denied=404),
    **model_pages(
        "accounts_user",
        USERS,
        "user",
        add=Page(
            USERS,
            post=302,
            changes=True,
            body={"username": "bea", "role": OPERATOR, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
        ),
        change=Page(
            USERS, post=302, changes=True, about="user", body={"username": "ann", "role": ADMIN, "is_active": "on"}
        ),
    ),
    "auth_user_password_change": Page(
        USERS, post=302, changes=True, about="user", body={"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    ),
    "accounts_user_unlock": Page(USERS, post=302, changes=True, about="user"),
    "accounts_user_remove_second_factor": Page(USERS, post=302, changes=True, about="user"),
    **model_pages(
        "accounts_apikey", USERS, "key", add=Page(USERS, changes=True, body={"user": "row:service", "name": "New"})
    ),
    "accounts_apikey_revoke": Page(USERS, post=302, changes=True, about="key"),
    **model_pages("accounts_auditentry", USERS, "entry"),
    **model_pages(
        "workflows_workflow",
        WORKFLOWS,
        "workflow",
        add=Page(
            WORKFLOWS, post=302, changes=True, body={"name": "New", "key": "new", "priority": 2, "definition": DAG}
        ),
        change=Page(
            WORKFLOWS,
            post=302,
            changes=True,
            about="workflow",
            body={"name": "Other", "priority": 2, "definition": DAG, "based_on": "state:workflow"},
        ),
        delete=Page(WORKFLOWS, post=302, changes=True, about="workflow", body={"post": "yes"}),
    ),
    "workflows_workflow_activate": Page(WORKFLOWS, post=302, changes=True, about="workflow"),
    "workflows_workflow_deactivate": Page(WORKFLOWS, post=302, changes=True, about="active"),
    **model_pages("workflows_workflowversion", WORKFLOWS, "version"),
    **model_pages("triggers_trigger", TRIGGERS, "trigger"),
    "triggers_trigger_cancel_by_filter": Page(TRIGGERS, post=302, changes=True, body={"workflow": "active"}),
    "triggers_trigger_cancel": Page(TRIGGERS, post=302, changes=True, about="trigger"),
    "triggers_trigger_redrive": Page(TRIGGERS, post=302, changes=True, about="failed"),
    **model_pages("execution_step", STEP_LOGS, "step"),
    **model_pages("execution_deadletter", TRIGGERS, "letter"),
    "execution_deadletter_redrive": Page(TRIGGERS, post=302, changes=True, about="letter"),
    "execution_deadletter_redrive_on_newest": Page(TRIGGERS, post=302, changes=True, about="letter"),
    "execution_deadletter_discard": Page(TRIGGERS, post=302, changes=True, about="letter", body={"reason": "Wrong."}),
    "execution_deadletter_redrive_by_filter": Page(
        TRIGGERS, post=302, changes=True, body={"workflow": "active", "version": "pinned", "per_second": 10}
    ),
    "execution_deadletter_discard_by_filter": Page(
        TRIGGERS, post=302, changes=True, body={"workflow": "active", "reason": "Wrong."}
    ),
}
# What can be done to rows chosen in a list: who may, and with which row of the world.
ACTIONS: dict[tuple[str, str], tuple[frozenset[str], str]] = {
    ("workflows_workflow", "activate_selected"): (WORKFLOWS, "workflow"),
    ("workflows_workflow", "deactivate_selected"): (WORKFLOWS, "active"),
    ("triggers_trigger", "cancel_selected"): (TRIGGERS, "trigger"),
    ("triggers_trigger", "redrive_selected"): (TRIGGERS, "failed"),
    ("execution_deadletter", "redrive_selected"): (TRIGGERS, "letter"),
    ("execution_deadletter", "redrive_selected_on_newest"): (TRIGGERS, "letter"),
    ("execution_deadletter", "discard_selected"): (TRIGGERS, "letter"),
    # Django's own, which no service knows of: gone from every list.
    ("accounts_user", "delete_selected"): (NOBODY, "user"),
    ("accounts_apikey", "delete_selected"): (NOBODY, "key"),
    ("accounts_auditentry", "delete_selected"): (NOBODY, "entry"),
    ("workflows_workflow", "delete_selected"): (NOBODY, "workflow"),
    ("workflows_workflowversion", "delete_selected"): (NOBODY, "version"),
    ("triggers_trigger", "delete_selected"): (NOBODY, "trigger"),
    ("execution_step", "delete_selected"): (NOBODY, "step"),
    ("execution_deadletter", "delete_selected"): (NOBODY, "letter"),
}
WHO = [*Role, *(f"{role} superuser" for role in Role), "anonymous", "inactive", "service"]


class World:
    """One row of each kind, whose ids the addresses name."""

    def __init__(self) -> None:
        failed = failed_trigger(workflow=WorkflowFactory(key="active"))
        self.rows: dict[str, Any] = {
            "user": UserFactory(username="ann", role=OPERATOR),
            "service": UserFactory(username="robot", role=OPERATOR, is_service=True),
            "workflow": WorkflowFactory(key="idle", is_active=False),
            "active": failed.workflow,
            "version": failed.version,
            "trigger": TriggerFactory(workflow=failed.workflow),
            "failed": failed,
            "step": failed.steps.get(),
            "letter": DeadLetter.objects.get(),
        }
        self.rows["key"], _ = create_key(self.rows["service"], by=SYSTEM)
        self.rows["entry"] = AuditEntry.objects.get()
        TOTPDevice.objects.create(user=self.rows["user"], confirmed=True)
        # A failure to forget.
        Client().post(LOGIN, {"username": "ann", "password": "wrong"})

    def body(self, name: str) -> dict[str, Any]:
        """Return what is posted to a page, with the ids of the rows that it names."""
        return {key: self._named(value) for key, value in MATRIX[name].body.items()}

    def _named(self, value: Any) -> Any:
        kind, _, name = str(value).partition(":")
        if kind == "row":
            return self.rows[name].pk
        return self.rows[name].state_tag if kind == "state" else value

    def url(self, name: str) -> str:
        """Return the address of a line of the matrix."""
        page = MATRIX[name]
        if name.startswith("app_list"):
            return reverse("admin:app_list", args=[name.split()[1]])
        if name == "catch_all":
            return f"{reverse('admin:index')}nothing/"
        if name.endswith("_"):
            return reverse(f"admin:{name}change", args=[self.rows[page.about].pk]).removesuffix("change/")
        args = [self.rows[page.about].pk] if page.about else []
        return reverse(f"admin:{name}", args=args) + page.query


def browser_of(who: str, **more: Any) -> Client:
    """Return a browser of a role, with or without the superuser's flag; or of `inactive`, `service`, `anonymous`.

    The inactive one was an admin when it signed in, and so was the service account before it became one.
    """
    browser = Client(raise_request_exception=False, **more)
    if who != "anonymous":
        role, _, flag = who.partition(" ")
        user = UserFactory(role=role if role in set(Role) else ADMIN, is_superuser=bool(flag) or role not in set(Role))
        browser.force_login(user)
        User.objects.filter(pk=user.pk).update(
            is_active=who != "inactive", is_service=who == "service", is_staff=who != "service" and user.is_staff
        )
    return browser


def is_let_in(who: str) -> bool:
    """Say whether somebody may enter the admin at all."""
    return who.partition(" ")[0] in STAFF


def may_open(who: str, page: Page) -> bool:
    """Say whether somebody may open a page; the superuser's flag says nothing."""
    return who.partition(" ")[0] in page.who


def page_names() -> set[str]:
    """Return the name of every page of the admin, by its resolver; nameless ones by the names that the matrix gives."""
    patterns = admin.site.urls[0]
    names = {name for pattern in patterns for name in _names(pattern)}
    return (names - {"app_list"}) | {f"app_list {label}" for label in {model._meta.app_label for model in models()}}


def _names(pattern: URLPattern | URLResolver) -> Iterator[str]:
    if isinstance(pattern, URLResolver):
        model = str(pattern.pattern).strip("/").replace("/", "_")
        # The one without a name leads on to the page of the object.
        yield from (name or f"{model}_" for below in pattern.url_patterns for name in _names(below))
    else:
        yield pattern.name or ("catch_all" if "url" in str(pattern.pattern) else "")


def models() -> list[Any]:
    """Return the models that the admin has pages of."""
    return list(admin.site._registry)
