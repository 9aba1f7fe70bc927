"""Addresses, parameters, methods and headers that no client should send: a 4xx that says why, never a 500."""

import re
from typing import Any
from unittest.mock import patch

import pytest
from django.db import InternalError
from django.test import Client

from tests.conftest import access_token
from tests.factories import TriggerFactory, UserFactory, WorkflowFactory
from tests.integration.api.answers import call, details_of, errors_of, stranger
from triggers.models import Trigger
from workflows.models import Workflow

pytestmark = pytest.mark.django_db

NOWHERE = "01900000-0000-7000-8000-000000000000"
BAD_IDS = ["x", "%00", "%FF", "%ED%A0%80", "..", "%2e%2e", "x" * 9000, "17", "-1", "%F0%9F%98%80", "'", "%0A", "{}"]
LISTS = ["users/", "workflows/", "workflows/known/versions/", "triggers/", "triggers/{trigger}/steps/", "steps/"]
GENERATED_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def trigger() -> Trigger:
    """Return a trigger of the workflow `known`."""
    made: Trigger = TriggerFactory(workflow=WorkflowFactory(key="known"))
    return made


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "users/{}/"),
        ("PATCH", "users/{}/"),
        ("GET", "workflows/{}/"),
        ("PUT", "workflows/{}/"),
        ("PATCH", "workflows/{}/"),
        ("DELETE", "workflows/{}/"),
        ("POST", "workflows/{}/activate/"),
        ("POST", "workflows/{}/deactivate/"),
        ("GET", "workflows/{}/versions/"),
        ("GET", "workflows/{}/versions/1/"),
        ("GET", "workflows/known/versions/{}/"),
        ("GET", "triggers/{}/"),
        ("GET", "triggers/{}/steps/"),
        ("POST", "triggers/{}/cancel/"),
        ("POST", "triggers/{}/redrive/"),
        ("GET", "steps/{}/"),
        ("GET", "nothing/{}/"),
    ],
)
def test_ids_that_are_none_lead_nowhere(admin: Client, trigger: Trigger, method: str, path: str) -> None:
    for bad in [*BAD_IDS, NOWHERE]:
        answer = call(admin, method, path.format(bad), {})
        assert (bad, answer.status_code, errors_of(answer)) == (bad, 404, [(None, "not_found")])
    assert (Workflow.objects.get().is_active, Trigger.objects.get().status) == (True, "enqueued")


@pytest.mark.parametrize("path", LISTS)
def test_page_sizes_that_are_none_are_refused(admin: Client, trigger: Trigger, path: str) -> None:
    url = path.format(trigger=trigger.pk)
    for size in ("0", "-1", "abc", "", "1.5", "201", "1" + "0" * 20, "9" * 5000, "%D9%A1", "1_0", "+1"):
        answer = call(admin, "GET", f"{url}?page_size={size}")
        assert (size, answer.status_code, errors_of(answer)) == (size, 400, [("page_size", "out_of_range")])
    assert [call(admin, "GET", f"{url}?page_size={size}").status_code for size in (1, 200)] == [200, 200]


@pytest.mark.parametrize("path", LISTS)
def test_cursors_that_are_none_are_refused(admin: Client, trigger: Trigger, path: str) -> None:
    for cursor in ("x", "%FF", "cD0x", "cD1ub3Bl", "bz0tMQ==", "%D9%A1", "A" * 4001, "cD0lMDA=", "bz14JnI9eA=="):
        answer = call(admin, "GET", f"{path.format(trigger=trigger.pk)}?cursor={cursor}")
        assert (cursor, answer.status_code, errors_of(answer)) == (cursor, 404, [(None, "not_found")])


@pytest.mark.parametrize("path", LISTS)
def test_parameters_with_nul_are_named(admin: Client, trigger: Trigger, path: str) -> None:
    for name in ("cursor", "page_size"):
        answer = call(admin, "GET", f"{path.format(trigger=trigger.pk)}?{name}=%00")
        assert (answer.status_code, errors_of(answer)) == (400, [(name, "invalid")])


@pytest.mark.parametrize("path", LISTS)
def test_parameters_that_a_list_does_not_know_are_named(admin: Client, trigger: Trigger, path: str) -> None:
    for name in ("colour", "Status", "page", "%20", "workflow__key", "%F0%9F%98%80"):
        answer = call(admin, "GET", f"{path.format(trigger=trigger.pk)}?{name}=1")
        assert (answer.status_code, [code for _, code in errors_of(answer)]) == (400, ["unknown_parameter"])

    many = call(admin, "GET", path.format(trigger=trigger.pk) + "?" + "&".join(f"p{n}=1" for n in range(1001)))
    assert (many.status_code, details_of(many)) == (400, ["The query has too many parameters."])


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("triggers/?status=done", ("status", "invalid_choice")),
        ("triggers/?status=", ("status", "blank")),
        ("triggers/?workflow=%00", ("workflow", "invalid")),
        ("triggers/?workflow=%ED%A0%80", None),
        ("triggers/?workflow=" + "x" * 9000, None),
        ("triggers/?created_after=yesterday", ("created_after", "invalid")),
        ("triggers/?created_after=" + "9" * 5000, ("created_after", "invalid")),
        ("triggers/?created_after=0001-01-01T00:00:00%2B14:00", ("created_after", "overflow")),
        ("triggers/?created_before=9999-12-31T23:59:59-14:00", ("created_before", "overflow")),
        ("triggers/?created_before=2026-13-01T00:00:00Z", ("created_before", "invalid")),
        ("triggers/?idempotency_key=%00", ("idempotency_key", "invalid")),
        ("steps/?status=%F0%9F%98%80", ("status", "invalid_choice")),
        ("steps/?workflow=%7B%7D&node_type=%FF", None),
        ("workflows/?key=%00", ("key", "invalid")),
        ("workflows/?is_active=perhaps", ("is_active", "invalid_choice")),
        ("workflows/?is_active=null", ("is_active", "invalid_choice")),
    ],
)
def test_bad_filters(admin: Client, query: str, error: tuple[str, str] | None) -> None:
    answer = call(admin, "GET", query)

    if error is None:
        assert (answer.status_code, set(answer.json())) == (200, {"next", "previous", "results"})
    else:
        assert (answer.status_code, errors_of(answer)) == (400, [error])


@pytest.mark.parametrize(
    "accept",
    ["text/html", "application/xml", "text/*", "", ";;;", "x" * 20_000, "a/b" + ";x=y" * 5_000, "\xff\xfe", "*", "/"],
)
def test_what_is_not_json_can_not_be_had(admin: Client, accept: str) -> None:
    answer = call(admin, "GET", "triggers/", headers={"Accept": accept})

    assert (answer.status_code, errors_of(answer)) == (406, [(None, "not_acceptable")])


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, */*;q=0.1", "*/*;q=x", "application/json; indent=1000000000"]
)
def test_json_can_be_had_in_many_words(admin: Client, accept: str) -> None:
    assert call(admin, "GET", "triggers/", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("auth/token/", "POST, OPTIONS"),
        ("me/", "GET, HEAD, OPTIONS"),
        ("users/", "GET, POST, HEAD, OPTIONS"),
        ("users/{user}/", "GET, PATCH, HEAD, OPTIONS"),
        ("workflows/", "GET, POST, HEAD, OPTIONS"),
        ("workflows/known/", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("workflows/known/activate/", "POST, OPTIONS"),
        ("workflows/validate/", "POST, OPTIONS"),
        ("workflows/known/versions/", "GET, HEAD, OPTIONS"),
        ("templates/preview/", "POST, OPTIONS"),
        ("triggers/", "GET, POST, HEAD, OPTIONS"),
        ("triggers/{trigger}/", "GET, HEAD, OPTIONS"),
        ("triggers/{trigger}/cancel/", "POST, OPTIONS"),
        ("triggers/redrive/", "POST, OPTIONS"),
        ("steps/", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods_are_refused_with_those_that_there_are(
    admin: Client, trigger: Trigger, path: str, allowed: str
) -> None:
    url = path.format(trigger=trigger.pk, user=UserFactory().pk)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "X" * 900} - set(allowed.split(", ")):
        answer = call(admin, method, url, {})
        assert (method, answer.status_code, errors_of(answer)) == (method, 405, [(None, "method_not_allowed")])
        assert answer.headers["Allow"] == allowed
    assert call(admin, "OPTIONS", url).headers["Allow"] == allowed
    assert Trigger.objects.get().status == "enqueued"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Bearer x y", "Basic YWRtaW46YWRtaW4=", "Token x", "Bearer a.b.c",
     "Bearer \xff", "Bearer e30.e30.e30", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer " + "x" * 20_000, "{token}",
     "Bearer {token}x"],
)  # fmt: skip
def test_tokens_that_are_none_are_refused(header: str) -> None:
    header = header.replace("{token}", access_token(UserFactory()))

    answer = call(stranger(), "GET", "triggers/", headers={"Authorization": header})

    assert answer.status_code == 401
    assert [attr for attr, _ in errors_of(answer)] == [None]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("host", ["evil.example", "", "a b", "[::1", "\xff", "127.0.0.1:x", "testserver.evil.example"])
def test_other_hosts_are_not_served(admin: Client, host: str) -> None:
    answer = call(admin, "GET", "triggers/", headers={"Host": host})

    assert (answer.status_code, errors_of(answer)) == (400, [(None, "bad_request")])


@pytest.mark.parametrize("given", ["a", "0-9_A.z", "x" * 64, NOWHERE])
def test_a_sane_request_id_comes_back(admin: Client, given: str) -> None:
    assert call(admin, "GET", "triggers/", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "x" * 65, "<script>", "a\r\nSet-Cookie: a=b", "a\n", "\xff", "a,b", "%0d%0a", "\x00"]
)
def test_any_other_request_id_is_replaced(admin: Client, given: str) -> None:
    answer = call(admin, "GET", "triggers/", headers={"X-Request-ID": given})

    assert GENERATED_ID.fullmatch(answer.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "me/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/api/schema/", 200),
        ("GET", "/", 302),
        ("POST", "triggers", 301),
        ("POST", "triggers/", 400),
        ("GET", "/api/nothing", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "me/", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_every_answer_has_a_request_id(admin: Client, method: str, path: str, status: int) -> None:
    answer = call(admin, method, path, {}, headers={"X-Request-ID": "mine"})

    assert (answer.status_code, answer.headers["X-Request-ID"]) == (status, "mine")


def test_a_fault_of_the_server_has_a_request_id_and_gives_nothing_away(admin: Client) -> None:
    broken = patch(
        "notifyflow.front_door.accept_trigger", side_effect=InternalError('relation "secret" does not exist')
    )
    body: dict[str, Any] = {"workflow": "known", "idempotency_key": "k"}
    with broken:
        answer = call(admin, "POST", "triggers/", body, headers={"X-Request-ID": "mine"})

    assert (answer.status_code, errors_of(answer)) == (500, [(None, "error")])
    assert details_of(answer) == ["A server error occurred; it has been logged."]
    assert answer.headers["X-Request-ID"] == "mine"


def test_a_fault_outside_of_the_views_has_the_same_form(admin: Client) -> None:
    with patch("django.middleware.common.CommonMiddleware.process_request", side_effect=InternalError("secret")):
        answer = call(admin, "GET", "triggers/", headers={"X-Request-ID": "mine"})

    assert (answer.status_code, errors_of(answer)) == (500, [(None, "error")])
    assert answer.headers["X-Request-ID"] == "mine"


def test_no_answer_sets_a_cookie(admin: Client) -> None:
    """There is nothing that another site could ride on."""
    answers = [call(admin, "GET", path) for path in ("me/", "triggers/", "nothing/", "/healthz", "/api/schema/")]

    assert [dict(answer.cookies) for answer in answers] == [{}] * 5
