"""What every answer carries and what none gives away; who may ask from another origin; what a request must not cost."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.backends.base import SessionBase
from django.test import Client
from pytest_django import Settings

from accounts.roles import Role
from notifyflow import front_door
from notifyflow.api import headers as api_headers
from notifyflow.logs import logging_config
from tests.factories import PASSWORD, UserFactory, WorkflowFactory
from tests.integration.api.answers import call, errors_of, signed_in, stranger

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example.com"
POLICY = "default-src 'none'; frame-ancestors 'none'"
TRIGGER = {"workflow": "known", "idempotency_key": "k", "context": {"password": "open-sesame"}}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return what is written to the log, in the form that a deployment has."""
    config: Any = logging_config(is_json=True, level="INFO")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(
        logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["structured"])
    )
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def open_to_the_shop(settings: Settings) -> None:
    """Name an origin, as CORS_ALLOWED_ORIGINS does."""
    settings.CORS_ALLOWED_ORIGINS = [SHOP]
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:2],
        "corsheaders.middleware.CorsMiddleware",
        *settings.MIDDLEWARE[2:],
    ]


def operator() -> Client:
    return signed_in(UserFactory(role=Role.TRIGGER_OPERATOR))


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


class TestHeaders:
    @pytest.mark.parametrize(
        ("path", "status"), [("me/", 200), ("workflows/", 403), ("nothing/", 404), ("/api/nothing", 404)]
    )
    def test_an_answer_may_load_nothing_and_is_nobodys_to_keep(self, path: str, status: int) -> None:
        answer = call(signed_in(UserFactory(role=Role.WORKER_SERVICE)), "GET", path)

        assert answer.status_code == status
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"

    def test_what_has_an_etag_may_be_asked_for_again(self) -> None:
        client = signed_in(UserFactory(role=Role.WORKFLOW_MANAGER))
        workflow = WorkflowFactory()

        answer = call(client, "GET", f"workflows/{workflow.pk}/")
        again = call(client, "GET", f"workflows/{workflow.pk}/", headers={"If-None-Match": answer.headers["ETag"]})

        assert (answer.headers["Cache-Control"], again.status_code) == ("private, no-cache", 304)

    def test_pages_load_their_own_files_only(self) -> None:
        for path in ("/admin/login/", "/api/docs/"):
            policy = Client().get(path).headers["Content-Security-Policy"]
            directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert directives["default-src"] == "'none'"
            assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
            assert directives["form-action"] == "'self'"
            assert "unsafe-inline" not in directives["script-src"]
            assert not re.search(r"https?:|\*", policy)
        assert "unsafe-eval" not in policy

    def test_no_page_has_a_script_of_its_own(self) -> None:
        for path in ("/admin/login/", "/api/docs/"):
            page = Client().get(path).content.decode()
            assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
            assert re.findall(r"\son\w+=\"", page) == []

    def test_the_consoles_cookies_are_kept_from_scripts_and_other_sites(self) -> None:
        UserFactory(username="ann", role=Role.SYSTEM_ADMIN)
        client = Client()
        client.post("/admin/login/", {"username": "ann", "password": PASSWORD})

        session = client.cookies["sessionid"]

        assert (session["httponly"], session["samesite"], session["max-age"]) == (True, "Lax", 12 * 60 * 60)


class TestOrigins:
    PREFLIGHT = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key, if-match, x-request-id, content-type",
    }

    def cors(self, answer: Any) -> dict[str, str]:
        return {name: value for name, value in answer.headers.items() if name.lower().startswith("access-control-")}

    def test_no_other_origin_may_read_an_answer(self) -> None:
        preflight = call(stranger(), "OPTIONS", "triggers/", headers=self.PREFLIGHT)
        answer = call(operator(), "GET", "me/", headers={"Origin": SHOP})

        assert (preflight.status_code, self.cors(preflight)) == (401, {})
        assert (answer.status_code, self.cors(answer)) == (200, {})

    @pytest.mark.usefixtures("open_to_the_shop")
    def test_one_that_is_named_may(self) -> None:
        preflight = call(stranger(), "OPTIONS", "triggers/", headers=self.PREFLIGHT)
        answer = call(operator(), "GET", "me/", headers={"Origin": SHOP})

        allowed = self.cors(preflight)
        assert preflight.status_code == 200
        assert allowed["access-control-allow-origin"] == SHOP
        assert set(self.PREFLIGHT["Access-Control-Request-Headers"].split(", ")) <= set(
            allowed["access-control-allow-headers"].split(", ")
        )
        assert self.cors(answer)["access-control-allow-origin"] == SHOP
        exposed = self.cors(answer)["access-control-expose-headers"]
        assert {"X-Request-ID", "ETag", "Retry-After", "RateLimit-Remaining"} <= set(exposed.split(", "))
        assert answer.headers["Vary"]

    @pytest.mark.usefixtures("open_to_the_shop")
    @pytest.mark.parametrize(
        "origin", ["null", "https://shop.example.com.evil.example", "http://shop.example.com", "*"]
    )
    def test_others_still_may_not(self, origin: str) -> None:
        preflight = call(stranger(), "OPTIONS", "triggers/", headers={**self.PREFLIGHT, "Origin": origin})
        answer = call(operator(), "GET", "me/", headers={"Origin": origin})

        assert "access-control-allow-origin" not in self.cors(preflight) | self.cors(answer)

    @pytest.mark.usefixtures("open_to_the_shop")
    def test_cookies_and_the_console_are_never_part_of_it(self) -> None:
        preflight = call(stranger(), "OPTIONS", "triggers/", headers=self.PREFLIGHT)
        page = Client().get("/admin/login/", headers={"Origin": SHOP})

        assert "access-control-allow-credentials" not in self.cors(preflight)
        assert self.cors(page) == {}


class TestSessions:
    def test_the_api_reads_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        client = Client()
        client.force_login(UserFactory(role=Role.SYSTEM_ADMIN))

        def refuse(_: SessionBase) -> None:
            raise AssertionError("a session was read")

        monkeypatch.setattr(SessionBase, "_get_session", refuse)
        assert call(client, "GET", "me/").status_code == 401
        assert not hasattr(call(client, "GET", "me/").wsgi_request, "session")

    def test_the_console_still_has_them(self) -> None:
        client = Client()
        client.force_login(UserFactory(role=Role.SYSTEM_ADMIN))

        assert client.get("/admin/").wsgi_request.user.is_authenticated


class TestLog:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "me/", 401), ("GET", "nothing/", 404), ("GET", "/admin/nothing", 302), ("POST", "/admin/login/", 403)],
    )
    def test_each_line_of_a_request_has_its_id(self, log: io.StringIO, method: str, path: str, status: int) -> None:
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)

        answer = call(client, method, path, headers={"X-Request-ID": "order-17"})

        assert (answer.status_code, answer.headers["X-Request-ID"]) == (status, "order-17")
        assert len(lines(log)) == (status >= 400)
        assert {line["request_id"] for line in lines(log)} <= {"order-17"}

    @pytest.mark.parametrize("is_debug", [False, True])
    def test_a_fault_gives_nothing_away(
        self, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, settings: Settings, is_debug: bool
    ) -> None:
        def break_down(wanted: Any, **_: Any) -> None:
            raise RuntimeError(f"could not accept {wanted.context} at postgres://notifyflow:open-sesame@db/notifyflow")

        settings.DEBUG = is_debug
        monkeypatch.setattr(front_door, "accept_trigger", break_down)
        WorkflowFactory(key="known")
        client = operator()
        token = client.defaults["HTTP_AUTHORIZATION"].removeprefix("Bearer ")

        answer = call(client, "POST", "triggers/", TRIGGER, headers={"X-Request-ID": "order-17"})

        assert (answer.status_code, errors_of(answer)) == (500, [(None, "error")])
        [line] = lines(log)
        assert line["request_id"] == "order-17"
        assert "RuntimeError" in line["exception"]
        for secret in ("open-sesame", token, django_settings.SECRET_KEY):
            assert secret not in log.getvalue()
            assert secret not in answer.content.decode()
            assert secret not in str(answer.headers)

    @pytest.mark.parametrize("is_debug", [False, True])
    def test_neither_does_one_outside_of_any_view(
        self, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, settings: Settings, is_debug: bool
    ) -> None:
        def break_down(*_: Any) -> None:
            raise RuntimeError("password=open-sesame")

        settings.DEBUG = is_debug
        monkeypatch.setattr("notifyflow.outside_api.SessionMiddleware.__call__", break_down)

        answer = call(operator(), "GET", "triggers/", headers={"X-Request-ID": "order-17"})

        assert (answer.status_code, errors_of(answer)) == (500, [(None, "error")])
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert [line["request_id"] for line in lines(log)] == ["order-17"]
        assert "open-sesame" not in log.getvalue() + answer.content.decode()

    def test_debug_shows_no_page_for_what_is_not_there_or_not_meant_for_us(self, settings: Settings) -> None:
        settings.DEBUG = True

        missing = call(operator(), "GET", "/api/nothing")
        elsewhere = call(operator(), "GET", "me/", headers={"Host": "elsewhere.example"})

        assert (missing.status_code, errors_of(missing)) == (404, [(None, "not_found")])
        assert (elsewhere.status_code, errors_of(elsewhere)) == (400, [(None, "bad_request")])


class TestLimits:
    def test_a_form_of_the_console_has_a_size(self) -> None:
        client = Client(raise_request_exception=False)
        client.force_login(UserFactory(role=Role.WORKFLOW_MANAGER))

        answers = [
            client.post("/admin/workflows/workflow/add/", {"definition": "x" * 3_000_000}),
            client.generic(
                "POST",
                "/admin/workflows/workflow/add/",
                "&".join(f"f{number}=1" for number in range(1001)),
                content_type="application/x-www-form-urlencoded",
            ),
        ]

        assert [answer.status_code for answer in answers] == [400, 400]

    def test_the_console_takes_no_files(self) -> None:
        client = Client(raise_request_exception=False)
        client.force_login(UserFactory(role=Role.WORKFLOW_MANAGER))

        answer = client.post("/admin/workflows/workflow/add/", {"file": io.BytesIO(b"x")})

        assert answer.status_code == 400


def test_what_the_answer_is_told_of_the_rate_costs_no_second_count() -> None:
    client = operator()

    told = [int(call(client, "GET", "me/").headers["RateLimit-Remaining"]) for _ in range(3)]

    assert [told[0] - left for left in told] == [0, 1, 2]
    assert api_headers.POLICY == POLICY
