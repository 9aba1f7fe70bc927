"""The documentation of the API: it is served, it is true, it is complete, and it needs nothing from elsewhere."""

import json
import re
import subprocess
import sys
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.staticfiles import finders
from django.urls import resolve
from drf_spectacular.validation import validate_schema
from jsonschema_rs import Draft4Validator

from accounts.roles import Role
from notifyflow.api import examples
from notifyflow.api.errors import UNAVAILABLE
from notifyflow.api.schema_links import LINKS
from tests.integration.api.answers import call, stranger
from tests.integration.api.test_permissions import MATRIX
from workflows.definition import parse_definition
from workflows.faults import DefinitionInvalid
from workflows.node_types import known_names

pytestmark = pytest.mark.django_db

METHODS = {"get", "post", "put", "patch", "delete"}
BODY = {"400", "413", "415"}
CALLER = {"401", "403", "406", "429", "503"}
# The refusals of some calls of each kind: those that are written here, and no other.
REFUSALS = {
    ("post", "/api/v1/auth/token/"): BODY | CALLER - {"403"},
    ("get", "/api/v1/me/"): CALLER - {"403"},
    ("get", "/api/v1/users/"): CALLER | {"400", "404"},
    ("patch", "/api/v1/users/{id}/"): BODY | CALLER | {"404", "409"},
    ("get", "/api/v1/steps/{id}/"): CALLER | {"404"},
    ("post", "/api/v1/workflows/"): BODY | CALLER,
    ("delete", "/api/v1/workflows/{id}/"): CALLER | {"400", "404", "409", "412"},
    ("post", "/api/v1/templates/preview/"): BODY | CALLER,
    ("post", "/api/v1/triggers/"): BODY | CALLER | {"404", "409"},
    ("post", "/api/v1/triggers/bulk/"): BODY | CALLER | {"404", "409"},
    ("get", "/api/v1/triggers/bulk/{id}/"): CALLER | {"404"},
    ("post", "/api/v1/triggers/{id}/cancel/"): CALLER | {"404", "409"},
    ("post", "/api/v1/triggers/{id}/process/"): CALLER | {"404", "409"},
}
NODES: list[dict[str, Any]] = [
    {"id": "a", "type": "email", "subject": "s", "body": "b"},
    {"id": "a", "type": "email", "subject": "s", "html_body": "b", "to": "ann@example.org", "on_doubt": "hold"},
    {"id": "a", "type": "email", "subject": "s"},
    {"id": "a", "type": "email", "body": "b"},
    {"id": "a", "type": "email", "subject": "s", "body": 1},
    {"id": "a", "type": "sms", "body": "b", "retry": {"max_attempts": 20, "intervals_s": [0, 0.5]}},
    {"id": "a", "type": "sms", "body": "b", "retry": {"backoff": {"base_s": 1, "factor": 1, "cap_s": 604800}}},
    {"id": "a", "type": "sms", "body": "b", "retry": {"backoff": {}, "intervals_s": [1]}},
    {"id": "a", "type": "sms", "body": "b", "retry": {"max_attempts": 21}},
    {"id": "a", "type": "sms", "body": "b", "retry": {"intervals_s": []}},
    {"id": "a", "type": "sms", "body": "b", "retry": {"backoff": {"factor": 0}}},
    {"id": "a", "type": "sms", "body": "b", "on_doubt": "perhaps"},
    {"id": "a", "type": "sms", "body": "b", "retry": "patient", "on_failure": "continue", "ttl_s": 1},
    {"id": "a", "type": "sms", "body": "b", "retry": "impatient"},
    {"id": "a", "type": "sms", "body": "b", "retry": ["patient"]},
    {"id": "a", "type": "sms", "body": "b", "on_failure": "perhaps"},
    {"id": "a", "type": "sms", "body": "b", "ttl_s": 0.5},
    {"id": "a", "type": "sms", "body": "b", "ttl_s": 316224001},
    {"id": "a", "type": "sms", "body": "b", "ttl_s": "300"},
    {"id": "a", "type": "delay", "delay_ms": 0, "ttl_s": 300},
    {"id": "a", "type": "sms", "body": "b", "subject": "s"},
    {"id": "1", "type": "sms", "body": "b"},
    {"id": "a", "type": "delay", "delay_ms": 0},
    {"id": "a", "type": "delay", "delay_ms": 316224000001},
    {"id": "a", "type": "delay", "duration": "PT1H"},
    {"id": "a", "type": "delay", "duration": "PT1H", "delay_ms": 1},
    {"id": "a", "type": "delay"},
    {"id": "a", "type": "fax", "body": "b"},
    {"type": "sms", "body": "b"},
]


@pytest.fixture
def schema() -> Any:
    """Return the documentation as it is served."""
    answer = call(stranger(), "GET", "/api/schema/?format=json")
    assert answer.status_code == 200
    return json.loads(answer.content)


def operations(schema: Any) -> dict[tuple[str, str], Any]:
    """Return what is documented, by method and path."""
    return {
        (method, path): operation
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def names(schema: Any) -> dict[str, Any]:
    """Return what is documented, by operationId."""
    return {operation["operationId"]: operation for operation in operations(schema).values()}


def routes(schema: Any) -> dict[tuple[str, str], Any]:
    """Return what is documented, by route and method, as the permission tests name them."""
    found = {}
    for (method, path), operation in operations(schema).items():
        address = re.sub(r"\{\w+\}", str(uuid4()), path.replace("{number}", "1"))
        found[resolve(address).url_name or "", method.upper()] = operation
    return found


def validator(schema: Any, shape: Any) -> Draft4Validator:
    """Return what checks a value against a part of the document; OpenAPI 3.0's `nullable` is not JSON Schema's."""
    return Draft4Validator(with_null({**shape, "components": schema["components"]}))


def with_null(node: Any) -> Any:
    if isinstance(node, list):
        return [with_null(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {name: with_null(value) for name, value in node.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain


def test_the_schema_is_served_as_yaml_too() -> None:
    answer = call(stranger(), "GET", "/api/schema/")

    assert answer.status_code == 200
    assert answer.content.startswith(b"openapi: 3.0")


FIRST_REQUESTS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import django

django.setup()
from django.test import RequestFactory

from notifyflow.api.schema_view import SchemaView

TOGETHER = 8
begin, view = Barrier(TOGETHER), SchemaView.as_view()


def ask(number):
    begin.wait()
    return view(RequestFactory().get("/api/schema/")).status_code


sys.setswitchinterval(0.0005)
with ThreadPoolExecutor(TOGETHER) as pool:
    print(*pool.map(ask, range(TOGETHER)))
"""


def test_the_first_requests_of_a_process_may_arrive_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_REQUESTS], capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["200"] * 8, done.stderr


def test_the_document_is_valid_openapi(schema: Any) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated


def test_every_operation_may_find_the_database_away(schema: Any) -> None:
    for operation in operations(schema).values():
        answer = operation["responses"]["503"]
        body = answer["content"]["application/json"]
        assert "Retry-After" in answer["headers"]
        assert validator(schema, body["schema"]).is_valid(UNAVAILABLE)
        assert body["examples"]["database_unavailable"]["value"] == UNAVAILABLE


def test_what_exists_is_documented_and_what_is_documented_exists(schema: Any) -> None:
    assert set(routes(schema)) == set(MATRIX) - {("schema", "GET"), ("docs", "GET")}


def test_each_call_has_a_name_of_its_own_a_summary_a_description_and_a_tag(schema: Any) -> None:
    found = operations(schema)
    tags = {tag["name"]: tag["description"] for tag in schema["tags"]}

    assert len(names(schema)) == len(found)
    for at, operation in found.items():
        assert (at, 4 < len(operation["summary"]) < 120) == (at, True)
        assert (at, len(operation["description"]) > len(operation["summary"])) == (at, True)
        assert (at, [tags.get(tag, "") != "" for tag in operation["tags"]]) == (at, [True])
    assert {tag for operation in found.values() for tag in operation["tags"]} == set(tags)


def test_no_two_calls_have_the_same_summary(schema: Any) -> None:
    summaries = [operation["summary"] for operation in operations(schema).values()]

    assert sorted(summaries) == sorted(set(summaries))


def test_who_may_call_is_what_the_permission_tests_walk(schema: Any) -> None:
    for at, operation in routes(schema).items():
        allowed = MATRIX[at] - {"anonymous"}
        if "x-roles" in operation:
            assert (at, set(operation["x-roles"])) == (at, {Role(role).value for role in allowed})
            assert all(f"`{role}`" in operation["description"] for role in operation["x-roles"])
            assert f"`{operation['x-capability']}`" in operation["description"]
        else:
            assert (at, {str(role) for role in allowed}) == (at, {role.value for role in Role})


def test_a_call_says_how_to_sign_in_or_that_nobody_needs_to(schema: Any) -> None:
    for (_, path), operation in operations(schema).items():
        is_open = path.startswith("/api/v1/auth/")
        assert (path, operation.get("security", [])) == (path, [] if is_open else [{"jwt": []}, {"apiKey": []}])
        assert (path, "Needs no token." in operation["description"]) == (path, is_open)
    schemes = schema["components"]["securitySchemes"]
    assert {name: (each["type"], each["scheme"]) for name, each in schemes.items()} == {
        "jwt": ("http", "bearer"),
        "apiKey": ("http", "bearer"),
    }


@pytest.mark.parametrize(("at", "wanted"), REFUSALS.items())
def test_a_call_documents_the_refusals_that_it_can_answer_with_and_no_other(
    schema: Any, at: tuple[str, str], wanted: set[str]
) -> None:
    assert {status for status in operations(schema)[at]["responses"] if status >= "400"} == wanted


def test_each_refusal_has_the_error_form_and_an_example_of_it(schema: Any) -> None:
    for at, operation in operations(schema).items():
        for status, answer in operation["responses"].items():
            if status >= "400":
                content = answer["content"]["application/json"]
                assert (at, status, content["examples"] != {}) == (at, status, True)
                form = schema["components"]["schemas"][content["schema"]["$ref"].rsplit("/", 1)[1]]
                assert (at, status, set(form["properties"])) == (at, status, {"type", "errors"})
                for example in content["examples"].values():
                    validator(schema, content["schema"]).validate(example["value"])


def test_each_body_has_an_example_that_fits(schema: Any) -> None:
    for at, operation in operations(schema).items():
        bodies = {status: answer.get("content") for status, answer in operation["responses"].items() if status < "300"}
        bodies["request"] = operation.get("requestBody", {}).get("content")
        for place, content in bodies.items():
            if content is None:
                continue
            found = content["application/json"]
            assert (at, place, "examples" in found) == (at, place, True)
            for name, example in found["examples"].items():
                errors = [error.message for error in validator(schema, found["schema"]).iter_errors(example["value"])]
                assert (at, place, name, errors) == (at, place, name, [])


def test_no_example_is_left_without_a_place(schema: Any) -> None:
    found = names(schema)

    assert [name for name in examples.REQUESTS if "requestBody" not in found.get(name, {})] == []
    assert [at for at in examples.ANSWERS if at[1] not in found.get(at[0], {"responses": {}})["responses"]] == []


def test_each_answer_documents_its_headers(schema: Any) -> None:
    for at, operation in operations(schema).items():
        for status, answer in operation["responses"].items():
            headers = answer["headers"]
            assert (at, status, headers["X-Request-ID"]["required"]) == (at, status, True)
            assert (at, status, "Retry-After" in headers) == (at, status, status in {"429", "503"})
            assert (at, status, "WWW-Authenticate" in headers) == (at, status, status == "401")
            counted = status != "401" and bool(operation.get("security"))
            assert (at, status, "RateLimit-Remaining" in headers) == (at, status, counted)
    replayed = operations(schema)["post", "/api/v1/triggers/"]["responses"]["200"]["headers"]
    assert {"Idempotent-Replayed", "Idempotent-Payload-Differs"} <= set(replayed)
    assert "ETag" in operations(schema)["get", "/api/v1/workflows/{id}/"]["responses"]["200"]["headers"]


def test_each_parameter_says_what_it_does(schema: Any) -> None:
    for at, operation in operations(schema).items():
        for parameter in operation.get("parameters", []):
            assert (at, parameter["name"], len(parameter["description"]) > 8) == (at, parameter["name"], True)


def test_lists_document_their_paging_and_their_filters(schema: Any) -> None:
    parameters = {each["name"]: each["schema"] for each in names(schema)["triggers_list"]["parameters"]}

    assert set(parameters) == {
        "cursor", "page_size", "workflow", "status", "idempotency_key", "created_after", "created_before",
    }  # fmt: skip
    assert (parameters["page_size"]["minimum"], parameters["page_size"]["maximum"]) == (1, 200)
    assert parameters["created_after"]["format"] == "date-time"
    assert "processing" in parameters["status"]["enum"]


@pytest.mark.parametrize("node", NODES, ids=json.dumps)
def test_the_schema_of_nodes_says_what_the_parser_says(schema: Any, node: dict[str, Any]) -> None:
    shape = {"$ref": "#/components/schemas/NodeRequest"}
    try:
        parse_definition({"entry_node_id": "a", "nodes": [node]})
    except DefinitionInvalid:
        is_valid = False
    else:
        is_valid = True

    assert validator(schema, shape).is_valid(node) == is_valid


def test_each_node_type_is_documented(schema: Any) -> None:
    assert set(schema["components"]["schemas"]["Node"]["discriminator"]["mapping"]) == set(known_names())


def test_links_lead_to_calls_with_the_parameters_that_these_have(schema: Any) -> None:
    found = names(schema)
    for name, status in LINKS:
        for link in found[name]["responses"][status]["links"].values():
            target = found[link["operationId"]]
            parameters = {each["name"] for each in target.get("parameters", []) if each["in"] == "path"}
            assert (name, link["operationId"], parameters) == (
                name, link["operationId"], set(link.get("parameters", {})),
            )  # fmt: skip
            assert ("requestBody" in link) <= ("requestBody" in target)


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = call(stranger(), "GET", "/api/docs/").content.decode()

    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(loaded) >= 3
    for address in loaded:
        assert re.match(r"/static/|/api/docs/", address)
        assert address.startswith("/api/") or finders.find(address.removeprefix("/static/"))
        # It is a file that stays open until the answer is closed.
        with closing(call(stranger(), "GET", address)) as answer:
            assert answer.status_code == 200
    assert re.findall(r"https?://[^\s\"']+", page) == []
    assert "/api/schema/" in call(stranger(), "GET", "/api/docs/?script=").content.decode()
