"""Attempts on the API that must fail: other people's ids, headers, addresses and verbs that say two things at once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from accounts.roles import Role
from notifyflow.embedded.threads import Web
from tests.conftest import access_token
from tests.factories import UserFactory, WorkflowFactory
from tests.integration.api.answers import JSON, call, errors_of, signed_in, stranger
from tests.integration.api.test_over_the_wire import Server, body
from tests.integration.api.test_permissions import MATRIX, World, client_of
from tests.integration.rows import changed, every_row
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

NOWHERE = "01900000-0000-7000-8000-000000000000"
# Each route about one object, with the kind of id that belongs there.
OF_ONE = {
    "user-detail": "user",
    "workflow-detail": "workflow",
    "workflow-activate": "workflow",
    "workflow-deactivate": "workflow",
    "workflow-versions": "workflow",
    "workflow-version": "workflow",
    "trigger-bulk-detail": "upload",
    "trigger-detail": "trigger",
    "trigger-steps": "trigger",
    "trigger-cancel": "trigger",
    "trigger-redrive": "trigger",
    "step-detail": "step",
    "dead-letter-detail": "letter",
    "dead-letter-redrive": "letter",
    "dead-letter-discard": "letter",
}


class Ids(World):
    """The world, with an id of each kind."""

    def __init__(self) -> None:
        super().__init__()
        step = self.failed.steps.get()
        self.ids = {
            "user": self.user.pk,
            "workflow": self.idle.pk,
            "version": self.idle.versions.get().pk,
            "trigger": self.waiting.pk,
            "upload": self.upload.pk,
            "step": step.pk,
            "letter": self.failed.dead_letters.get().pk,
        }

    def about(self, name: str, found: object) -> str:
        """Return the address of a route with any id in the place of its own."""
        own = {**self.ids, "workflow": "idle", "trigger": self.waiting.pk}
        url = self.url(name)
        for each in (own[OF_ONE[name]], self.failed.pk):
            url = url.replace(f"/{each}/", f"/{found}/")
        return url


# --- ids of others' objects ---


@pytest.mark.parametrize(("name", "method"), [(name, method) for name, method in MATRIX if name in OF_ONE])
def test_an_id_of_another_kind_is_as_unknown_as_one_that_nobody_has(name: str, method: str) -> None:
    world = Ids()
    client = client_of(Role.SYSTEM_ADMIN)
    sent = world.bodies.get((name, method), {})
    before = every_row()
    unknown = call(client, method, world.about(name, NOWHERE), sent)

    for kind, found in world.ids.items():
        if kind != OF_ONE[name]:
            answer = call(client, method, world.about(name, found), sent)
            assert (kind, answer.status_code, answer.content) == (kind, 404, unknown.content)
    assert changed(before) == set()


@pytest.mark.parametrize(("name", "method"), [(name, method) for name, method in MATRIX if name in OF_ONE])
def test_whoever_may_not_ask_does_not_learn_what_there_is(name: str, method: str) -> None:
    world = Ids()
    sent = world.bodies.get((name, method), {})
    for who in {*Role, "anonymous"} - MATRIX[name, method]:
        client = client_of(who)
        asked = [call(client, method, world.about(name, found), sent) for found in (*world.ids.values(), NOWHERE)]
        assert len({(answer.status_code, answer.content) for answer in asked}) == 1


def test_a_version_is_found_in_its_own_workflow_alone() -> None:
    client = client_of(Role.WORKFLOW_MANAGER)
    mine, other = WorkflowFactory(), WorkflowFactory()
    call(client, "PATCH", f"workflows/{other.pk}/", {"strict_variables": True})

    assert call(client, "GET", f"workflows/{other.pk}/versions/2/").status_code == 200
    assert call(client, "GET", f"workflows/{mine.pk}/versions/2/").status_code == 404


# --- verbs ---


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "X-Rewrite-Method"]
)
def test_the_verb_is_the_one_of_the_request_line(header: str) -> None:
    world = World()
    before = every_row()
    manager, operator = client_of(Role.WORKFLOW_MANAGER), client_of(Role.TRIGGER_OPERATOR)
    logged_in = set(changed(before))

    for verb in ("DELETE", "PUT", "PATCH"):
        assert call(manager, "GET", "workflows/idle/", headers={header: verb}).status_code == 200
        assert call(manager, "POST", "workflows/idle/", {"_method": verb}, headers={header: verb}).status_code == 405
        assert call(manager, "GET", f"workflows/idle/?_method={verb}&method={verb}").status_code == 200
    refused = call(operator, "GET", f"triggers/{world.waiting.pk}/cancel/", headers={header: "POST"})
    assert refused.status_code == 405
    assert call(operator, "POST", "workflows/", {"name": "x"}, headers={header: "GET"}).status_code == 403
    assert changed(before) == logged_in


# --- addresses ---


@pytest.mark.parametrize(
    "header", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Forwarded-Prefix", "X-Script-Name", "Referer"]
)
def test_the_address_is_the_one_of_the_request_line(header: str) -> None:
    world = World()
    client = client_of(Role.WORKER_SERVICE)

    for path in ("users/", "me/"):
        own = call(client, "GET", path).status_code
        assert call(client, "GET", path, headers={header: "/api/v1/users/"}).status_code == own
    assert call(stranger(), "GET", "/healthz", headers={header: "/api/v1/users/"}).json() == {"status": "ok"}
    assert world.user.pk


@pytest.mark.parametrize(
    "path",
    ["me/..;/users/", "me/../users/", "me/%2e%2e/users/", "me/%2E%2E%2Fusers/", "%75sers/", "users/;/", "users/;a=b",
     "users//", "/users/", "./users/", "users/.", "users/%2f", "users%2f", "users/%00", "users%20/", "users%09/",
     "users/%c0%af", "users/%c0%ae%c0%ae/", "users/%e0%80%af", "users/?a=/../", "users/%u002f", "us%ADers/",
     "users..;/", "USERS/"],
)  # fmt: skip
def test_no_spelling_of_an_address_opens_it(path: str) -> None:
    """A worker never gets what a system admin gets, however the path is written; nor does a stranger."""
    UserFactory(username="ann", email="ann@example.org")
    for client in (client_of(Role.WORKER_SERVICE), stranger()):
        answer = client.get(f"/api/v1/{path}")
        assert answer.status_code in (301, 400, 401, 403, 404)
        assert b"ann@" not in answer.content


@pytest.mark.parametrize("length", [1_000, 8_000, 60_000])
def test_addresses_of_any_length_are_answered(length: int) -> None:
    client = client_of(Role.SYSTEM_ADMIN)
    for path in ("workflows/" + "a" * length + "/", "a/" * (length // 2), "users/?username=" + "a" * length):
        assert call(client, "GET", path).status_code in (200, 400, 404)


# --- headers ---


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "Forwarded", "X-Forwarded-Port"])
def test_no_header_but_host_names_the_host(name: str) -> None:
    """Otherwise the links of a list would lead to whatever a proxy in between, or its cache, was told."""
    WorkflowFactory.create_batch(2)
    client = client_of(Role.WORKFLOW_MANAGER)

    answer = call(client, "GET", "workflows/?page_size=1", headers={name: "host=evil.example"})

    assert answer.json()["next"]
    assert b"evil" not in answer.content


def test_a_proxy_that_nobody_set_up_vouches_for_nothing() -> None:
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
    UserFactory(username="ann")

    answer = call(stranger(), "GET", "users/", headers={**told, "Remote-User": "ann", "X-Remote-User": "ann"})

    assert (answer.status_code, "Strict-Transport-Security" in answer.headers) == (401, False)


def test_no_answer_can_be_framed_or_taken_for_another_kind() -> None:
    client = client_of(Role.SYSTEM_ADMIN)
    for path in ("me/", "users/", "nothing/", "/healthz", "/api/docs/", "/api/schema/"):
        answer = call(client, "GET", path)
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "body",
    [
        {"__proto__": {"is_staff": True}},
        {"$ref": "file:///etc/passwd"},
        {"$schema": "http://evil.example/", "@type": "java.lang.Runtime", "!!python/object": "os.system"},
        {"__class__": {"__init__": {"__globals__": {}}}},
        {"constructor": {"prototype": {"role": "systemAdmin"}}},
        {"to": {"$gt": ""}, "$where": "1==1", "a.b": 1, "a[0]": 2, "": 3, "\u202e": 4},
    ],
)
def test_odd_names_in_free_json_are_kept_as_what_they_are(body: dict[str, Any]) -> None:
    WorkflowFactory(key="known")
    client = client_of(Role.TRIGGER_OPERATOR)

    asked = call(client, "POST", "triggers/", {"workflow": "known", "idempotency_key": "k", "context": body})

    assert asked.status_code == 202
    assert call(client, "GET", f"triggers/{asked.json()['id']}/").json()["context"] == body


# --- over a socket ---


@pytest.fixture
def server(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve the project as `make run` does, on any free port."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    WorkflowFactory(key="known")
    web = Web(host="127.0.0.1", port=0)
    web.start()
    yield Server(int(web._server.effective_port), access_token(UserFactory()))
    web.stop()


def sent(server: Server, *lines: str, target: str = "POST /api/v1/triggers/") -> Any:
    """Send a trigger's body, without a key, below these header lines."""
    data = json.dumps({"workflow": "known"}).encode()
    return server.ask(server.head(f"Content-Type: {JSON}", f"Content-Length: {len(data)}", *lines, target=target), data)


def test_a_header_can_not_add_a_header(server: Server) -> None:
    """What comes back is one of the headers that we set, and nothing of what was sent."""
    for value in ("k\r\nSet-Cookie: a=b", "k\nSet-Cookie: a=b", "k\rSet-Cookie: a=b", "k\u0085Set-Cookie: a=b", "k\tb",
                  "k\x0bSet-Cookie: a=b", "%0d%0aSet-Cookie: a=b", "k\x00"):  # fmt: skip
        for name in ("Idempotency-Key", "X-Request-ID", "X-Forwarded-For", "X-Forwarded-Host", "Accept", "If-Match"):
            answer = sent(server, f"{name}: {value}")
            assert (name, value, answer.status_code < 500) == (name, value, True)
            assert not {"Set-Cookie", "Set-cookie"} & set(answer.headers)


def test_an_authorization_is_one_and_plain(server: Server) -> None:
    """`head` says who we are already; a second word on it is not chosen from."""
    for second in ("Bearer x", "Basic YWRtaW46YWRtaW4=", f"Bearer {server.token}"):
        assert sent(server, f"Authorization: {second}").status_code in (400, 401)
    for odd in ("Bearer \xff\xfe", "Bearer \x01", "Bearer " + "x" * 100_000, "Bearer\t", "bearer", "Bearer nf_\xe9"):
        head = f"GET /api/v1/me/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: {odd}\r\n\r\n"
        assert (odd[:20], server.ask(head.encode("latin-1")).status_code in (400, 401, 431)) == (odd[:20], True)


def test_a_host_is_one_and_known(server: Server) -> None:
    for lines in (["Host: evil.example"], ["Host: 127.0.0.1", "Host: evil.example"], ["Host: a@127.0.0.1"], [],
                  ["Host: 127.0.0.1/evil"], ["Host: 127.0.0.1#evil"], ["Host: evil.example:80@127.0.0.1"]):  # fmt: skip
        common = ("GET /api/v1/me/ HTTP/1.1", "Connection: close", f"Authorization: Bearer {server.token}")
        answer = server.ask("\r\n".join([*common, *lines, "", ""]).encode())
        # A client that names no host at all, as HTTP/1.0 has it, is served by the name that the server has itself.
        assert (lines, answer.status_code in ((200, 400) if not lines else (400,))) == (lines, True)
        assert b"evil" not in answer.content


def test_a_length_is_said_once(server: Server) -> None:
    """Whoever is in front might count by the other one, and take the rest for somebody else's request."""
    data, smuggled = body(), b"GET /api/v1/users/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for framing in (
        (f"Content-Length: {len(data)}", "Content-Length: 0"),
        (f"Content-Length: {len(data)}", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        (f"Content-Length: +{len(data)}",),
        (f"Content-Length: {len(data)}, {len(data)}",),
    ):
        answer = server.ask(server.head(f"Content-Type: {JSON}", *framing), data + smuggled)
        assert (framing, answer.status_code in (400, 501)) == (framing, True)
        assert b"HTTP/1.1" not in answer.content
    assert Trigger.objects.count() == 0


def test_no_target_of_another_form_leads_past_the_guards(server: Server) -> None:
    for target, statuses in {
        "GET http://evil.example/api/v1/users/": (200, 400),
        "GET http://127.0.0.1/api/v1/users/": (200,),
        "GET /api/v1/users/%2e%2e/": (404,),
        "GET /api/v1/..%2fusers/": (404,),
        "GET /static/../../manage.py": (400, 404),
        "GET /static/%2e%2e/%2e%2e/manage.py": (400, 404),
        "GET /static/..%5c..%5cmanage.py": (400, 404),
        "GET /static//etc/passwd": (400, 404),
        "GET /static/accounts/../../../settings.py": (400, 404),
        "GET /%c0%ae%c0%ae/": (404,),
        "OPTIONS *": (400, 404),
        "CONNECT 127.0.0.1:5432": (400, 404, 405),
        "TRACE /api/v1/users/": (405,),
        "GET \\api\\v1\\users\\": (400, 404),
        "GET api/v1/users/": (200, 400, 404),
        "GET /api/v1/users/#/me/": (400, 404, 200),
    }.items():
        answer = server.ask(server.head(target=target))
        assert (target, answer.status_code in statuses) == (target, True), answer.status_code
        assert b"DJANGO_SETTINGS" not in answer.content
        assert b"root:" not in answer.content
        assert b"evil" not in answer.content
        # Without a token none of them shows anybody.
        plain = server.ask(f"{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode("latin-1"))
        assert plain.status_code >= 400


def test_errors_say_the_same_of_the_unknown_and_of_the_unseen() -> None:
    """A name that is taken, an id that exists: only who may see them hears of it."""
    user = UserFactory(username="ann")
    asked: list[tuple[Client, str]] = [(signed_in(UserFactory(role=role)), role) for role in (Role.WORKER_SERVICE,)]
    for client, _ in asked:
        answers = [call(client, "POST", "users/", {"username": name}) for name in ("ann", "nobody")]
        answers += [call(client, "GET", f"users/{found}/") for found in (user.pk, NOWHERE)]
        assert {answer.content for answer in answers} == {answers[0].content}
        assert errors_of(answers[0]) == [(None, "permission_denied")]
