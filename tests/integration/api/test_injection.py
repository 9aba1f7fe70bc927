"""SQL, Liquid and mail headers in every text that somebody can send: each stays the text that it is."""

import email
import json
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from execution.models import Step
from execution.runner import advance_lane
from tests.factories import ANN, EMAIL, PASSWORD, SMS, TriggerFactory, WorkflowFactory, definition
from tests.integration.api.answers import call, signed_in
from tests.integration.api.test_bad_input import parts_of, replaced
from tests.integration.api.test_permissions import MATRIX, World, client_of
from tests.integration.rows import changed, every_row
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

SQL = (
    "'; DROP TABLE triggers_trigger; --",
    "' OR '1'='1",
    "x') OR 1=1; DELETE FROM accounts_user WHERE ('1'='1",
    "1; UPDATE accounts_user SET role='systemAdmin'; --",
    "\\'; SELECT pg_sleep(9); --",
    "%' UNION SELECT password FROM accounts_user --",
    "$$; SELECT 1; $$",
    '"; DROP TABLE x; --',
    "%s %(name)s {0} %%",
    "\\x27 or 1=1",
    "{a} ::json -> 'b' @> '{}'",
)
LIQUID = (
    "{{ 'in' | append: 'jected' }}",
    "{% assign a = 'in' %}{{ a }}jected",
    "{{ recipient.secret }}",
    "{% raw %}",
    "{%",
)
LINES = "\r\nBcc: eve@evil.example\r\nX-Injected: yes\r\n\r\ninjected"
# Not of the API: what describes it.
PAGES = ("schema", "docs")
PARAMETERS = [
    "workflow", "status", "idempotency_key", "created_after", "created_before", "cursor", "page_size", "key",
    "is_active", "node_type", "trigger", "username", "role", "ordering", "search", "actor", "action", "object_type",
    "object_id", "id", "priority", "after", "before", "request_id",
]  # fmt: skip


def tables() -> set[str]:
    return set(connection.introspection.table_names())


def texts(body: Any) -> Iterator[tuple[str | int, ...]]:
    """Give the path of each text in a body."""
    yield from (at for at, value in parts_of(body) if isinstance(value, str))


# --- SQL ---


@pytest.mark.parametrize(("name", "method"), [(name, method) for name, method in MATRIX if method != "GET"])
def test_sql_in_a_body_is_text(name: str, method: str) -> None:
    world = World()
    client = client_of(Role.WORKER_SERVICE if Role.SYSTEM_ADMIN not in MATRIX[name, method] else Role.SYSTEM_ADMIN)
    body = {**world.bodies.get((name, method), {}), "context": {"a": "b"}, "recipient": {"c": "d"}}
    if name != "trigger-list":
        body = {field: value for field, value in body.items() if field not in ("context", "recipient")}
    stood, users = tables(), list(User.objects.order_by("pk").values_list("pk", "role", "is_superuser"))
    for at in texts(body):
        for sql in SQL:
            cache.clear()  # nothing of this is about how often somebody asks
            with transaction.atomic():
                answer = call(client, method, world.url(name), replaced(body, at, sql))
                assert (at, sql, answer.status_code < 500) == (at, sql, True)
                kept = User.objects.filter(pk__in=[pk for pk, *_ in users]).order_by("pk")
                assert list(kept.values_list("pk", "role", "is_superuser")) == users
                transaction.set_rollback(True)
    assert tables() == stood


@pytest.mark.parametrize("name", [name for name, method in MATRIX if method == "GET" and name not in PAGES])
def test_sql_in_an_address_is_text(name: str) -> None:
    world = World()
    client = client_of(Role.SYSTEM_ADMIN)
    url, before = world.url(name), every_row()
    everything = call(client, "GET", url).content
    for sql in SQL:
        cache.clear()
        for parameter in PARAMETERS:
            answer = call(client, "GET", f"{url}?{parameter}={quote(sql)}")
            assert (parameter, answer.status_code in (200, 400, 404)) == (parameter, True)
            # Were the text a condition, it would be one that all rows fulfil.
            # A cursor is Base64, and of what is none of it nothing is left: that is the first page.
            is_all = answer.status_code == 200 and answer.content == everything and name.endswith("-list")
            assert (parameter, sql, is_all and parameter != "cursor") == (parameter, sql, False)
        assert call(client, "GET", f"{url}?{quote(sql)}=1").status_code in (200, 400)
        parts = url.strip("/").split("/")
        for place in range(2, len(parts)):
            path = "/".join([*parts[:place], quote(sql, safe=""), *parts[place + 1 :]])
            assert call(client, "GET", f"/{path}/").status_code in (404, 405)
    assert changed(before) == set()


@pytest.mark.parametrize("sql", SQL)
def test_sql_is_found_again_as_it_was_written(sql: str) -> None:
    """Not refused, not cleaned: kept."""
    client = client_of(Role.SYSTEM_ADMIN)
    WorkflowFactory(key="known")
    body = {"workflow": "known", "idempotency_key": sql, "recipient": {"name": sql}, "context": {sql: [sql]}}

    asked = call(client, "POST", "triggers/", body).json()

    found = call(client, "GET", f"triggers/?idempotency_key={quote(sql)}").json()["results"]
    assert [(each["id"], each["recipient"], each["context"]) for each in found] == [
        (asked["id"], {"name": sql}, {sql: [sql]})
    ]


def test_sql_in_headers_is_text() -> None:
    WorkflowFactory(key="known")
    client = client_of(Role.TRIGGER_OPERATOR)
    stood = tables()
    for sql in SQL:
        for name in ("Idempotency-Key", "X-Request-ID", "If-Match", "X-Forwarded-For", "User-Agent", "Accept-Language"):
            answer = call(client, "POST", "triggers/", {"workflow": "known"}, headers={name: sql})
            assert answer.status_code in (200, 202, 400)
        assert call(Client(), "GET", "me/", headers={"Authorization": f"Bearer nf_{sql}"}).status_code == 401
    assert tables() == stood


def test_nobody_signs_in_by_sql() -> None:
    World()
    for sql in SQL:
        cache.clear()
        for body in ({"username": sql, "password": PASSWORD}, {"username": "ann", "password": sql}):
            assert call(Client(), "POST", "auth/token/", body).status_code in (400, 401, 429)


# --- Liquid ---


def mails() -> list[EmailMessage]:
    """Return what the outbox holds, as a mail program reads it."""
    files = sorted(Path(settings.OUTBOX_DIR).glob("*.eml"))
    return [email.message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


def sms() -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(Path(settings.OUTBOX_DIR).glob("*.sms.json"))]


def body_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_what_a_trigger_says_is_never_a_template() -> None:
    """Through the API and the real engine: values are put into the text once, and not looked at again."""
    said = "{{ a }} {{ recipient.name }} {{ list[0] }} {{ trigger.id }} {{ b.c }}"
    mail = {**EMAIL, "subject": "{{ a }}", "body": said, "html_body": "<p>{{ a | escape }}</p>"}
    after = {**SMS, "body": "{{ steps.mail.message_id }} {{ a }} {{ workflow.key }}", "to": "{{ recipient.phone }}"}
    WorkflowFactory(key="known", definition=definition(mail, after, edges=[("mail", "text", "a contains 'in'")]))
    client = client_of(Role.TRIGGER_OPERATOR)
    for number, liquid in enumerate(LIQUID):
        context = {"a": f"{liquid} in", "b": {"c": liquid}, "list": [liquid], liquid: liquid}
        recipient = {**ANN, "name": liquid, "secret": "injected"}
        body = {
            "workflow": "known",
            "idempotency_key": f"{number} {liquid}",
            "recipient": recipient,
            "context": context,
        }
        assert call(client, "POST", "triggers/", body).status_code == 202
    while advance_lane("medium"):
        pass

    assert set(Trigger.objects.values_list("status", flat=True)) == {"completed"}
    written = [str(mail["Subject"]) + body_of(mail) + body_of(mail, "html") for mail in mails()]
    written += [text["body"] for text in sms()]
    assert len(written) == 2 * len(LIQUID)
    for liquid in LIQUID:
        assert len([text for text in written if liquid in text]) >= 2
    assert "injected" not in "".join(written)


def test_what_names_a_workflow_is_never_a_template() -> None:
    liquid = LIQUID[0]
    client = client_of(Role.SYSTEM_ADMIN)
    dag = definition({**EMAIL, "subject": "{{ workflow.key }}", "body": "Hi {{ workflow.name }}{{ name }}"})
    made = call(client, "POST", "workflows/", {"name": liquid, **dag})
    refused = call(client, "POST", "workflows/", {"name": "x", "key": liquid, **dag})
    call(client, "POST", f"workflows/{made.json()['id']}/activate/")
    key = made.json()["key"]
    asked = call(client, "POST", "triggers/", {"workflow": key, "idempotency_key": liquid, "recipient": ANN})
    assert asked.status_code == 202
    while advance_lane("medium"):
        pass

    assert refused.status_code == 400
    assert str(mails()[0]["Subject"]) == key
    # A name leaves no mark in a key but its letters.
    assert "{" not in key


def test_a_condition_of_an_edge_reads_values_as_values() -> None:
    """A value can't end the condition that it is compared in."""
    nodes = [EMAIL, {**SMS, "to": "{{ recipient.phone }}"}]
    WorkflowFactory(key="known", definition=definition(*nodes, edges=[("mail", "text", "plan == 'gold'")]))
    client = client_of(Role.TRIGGER_OPERATOR)
    values = ("x' or plan != 'gold", "x' %}{% if true", "gold' and 'a", "{{ 'gold' }}", ["gold"], True)
    for number, value in enumerate(values):
        body = {"workflow": "known", "idempotency_key": str(number), "recipient": ANN, "context": {"plan": value}}
        assert call(client, "POST", "triggers/", body).status_code == 202
    while advance_lane("medium"):
        pass

    assert sms() == []
    assert Step.objects.filter(node_id="text", status="skipped").count() == len(values)


# --- mail headers ---


@pytest.mark.parametrize("field", ["to", "subject"])
@pytest.mark.parametrize(
    "line",
    [LINES, *(f"{ending}Bcc: eve@evil.example" for ending in ("\n", "\r", "\u2028", "\x0b\x0c", "\x85", "\r\n "))],
)
def test_no_value_adds_a_header_to_a_mail(field: str, line: str) -> None:
    mail = {**EMAIL, "to": "{{ to }}", "subject": "{{ subject }}", "body": "Hi"}
    WorkflowFactory(key="known", definition=definition(mail))
    context = {"to": "ann@example.org", "subject": "Hello"}
    context[field] += line
    client = client_of(Role.TRIGGER_OPERATOR)
    call(client, "POST", "triggers/", {"workflow": "known", "idempotency_key": "k", "context": context})

    advance_lane("medium")

    for sent in mails():
        assert not {"bcc", "x-injected", "cc"} & {name.lower() for name in sent.keys()}  # noqa: SIM118  # of a message
        assert [address.addr_spec for address in sent["To"].addresses] == ["ann@example.org"]
        assert "injected" not in body_of(sent)
    if field == "to":
        assert mails() == []
        assert Step.objects.get().status == "failed"


@pytest.mark.parametrize(
    "to",
    ["ann@example.org, eve@evil.example", "ann@example.org;eve@evil.example", "Eve <eve@evil.example>, ann@example.org",
     '"ann@example.org" <eve@evil.example>,', "ann@example.org\teve@evil.example", "undisclosed:eve@evil.example;"],
)  # fmt: skip
def test_a_recipient_is_one_person(to: str) -> None:
    trigger = TriggerFactory(recipient={"email": to})

    advance_lane("medium")

    addresses = [address.addr_spec for mail in mails() for address in mail["To"].addresses]
    assert len(addresses) <= 1
    assert "ann@example.org" not in addresses or "eve@evil.example" not in addresses
    trigger.refresh_from_db()
    assert trigger.status in ("failed", "completed")


@pytest.mark.parametrize("number", ["+14155552671\r\n+14155552672", "+14155552671,+14155552672", "+1415555267{{ 1 }}"])
def test_a_number_is_one_number(number: str) -> None:
    TriggerFactory(workflow=WorkflowFactory(definition=definition(SMS)), recipient={"phone": number})

    advance_lane("medium")

    assert sms() == []
    assert Step.objects.get().status == "failed"


def test_a_user_s_name_is_text_everywhere() -> None:
    for name in (*LIQUID, *SQL):
        user = User(username=name[:150], role=Role.TRIGGER_OPERATOR)
        user.set_unusable_password()
        user.save()
        assert call(signed_in(user), "GET", "me/").json()["username"] == name[:150]
