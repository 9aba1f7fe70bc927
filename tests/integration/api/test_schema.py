"""The documentation of the API: it is served, it is true, and it needs nothing from elsewhere."""

import json
import re
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.staticfiles import finders
from django.urls import resolve

from tests.integration.api.answers import call, stranger
from tests.integration.api.test_permissions import MATRIX

pytestmark = pytest.mark.django_db

METHODS = {"get", "post", "put", "patch", "delete"}
# What API.md promises beside the answer itself.
CONFLICTS = {
    ("post", "/api/v1/triggers/"),
    ("post", "/api/v1/triggers/{id}/cancel/"),
    ("post", "/api/v1/triggers/{id}/redrive/"),
    ("delete", "/api/v1/workflows/{id}/"),
    ("patch", "/api/v1/users/{id}/"),
}


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


def test_the_schema_is_served_as_yaml_too() -> None:
    answer = call(stranger(), "GET", "/api/schema/")

    assert answer.status_code == 200
    assert answer.content.startswith(b"openapi: 3.0")


def test_what_exists_is_documented_and_what_is_documented_exists(schema: Any) -> None:
    documented = set()
    for method, path in operations(schema):
        match = resolve(re.sub(r"\{number\}", "1", re.sub(r"\{id\}", str(uuid4()), path)))
        documented.add((match.url_name, method.upper()))

    assert documented == set(MATRIX) - {("schema", "GET"), ("docs", "GET")}


def test_each_call_has_a_name_of_its_own_and_a_description(schema: Any) -> None:
    found = operations(schema).values()

    assert len({operation["operationId"] for operation in found}) == len(found)
    assert [operation for operation in found if not operation.get("description")] == []


def test_the_answers_to_a_trigger_are_all_documented(schema: Any) -> None:
    responses = operations(schema)["post", "/api/v1/triggers/"]["responses"]

    assert {"200", "202", "400", "401", "403", "404", "409", "413", "415"} <= set(responses)
    names = {header["name"] for header in operations(schema)["post", "/api/v1/triggers/"]["parameters"]}
    assert names == {"Idempotency-Key"}


def test_conflicts_are_documented_where_they_can_be(schema: Any) -> None:
    assert {at for at, operation in operations(schema).items() if "409" in operation["responses"]} == CONFLICTS


def test_each_refusal_is_documented_in_the_error_form(schema: Any) -> None:
    for at, operation in operations(schema).items():
        for status, answer in operation["responses"].items():
            if status >= "400":
                shape = answer["content"]["application/json"]["schema"]
                assert (at, status, "$ref" in shape) == (at, status, True)
                name = shape["$ref"].rsplit("/", 1)[1]
                assert errors_in(schema["components"]["schemas"], name)


def errors_in(components: Any, name: str) -> bool:
    """Say whether a component, or each one it may be, has the two parts of the error form."""
    component = components[name]
    if "oneOf" in component:
        return all(errors_in(components, choice["$ref"].rsplit("/", 1)[1]) for choice in component["oneOf"])
    return {"type", "errors"} == set(component["properties"])


def test_calls_that_need_a_token_say_so(schema: Any) -> None:
    for (method, path), operation in operations(schema).items():
        is_open = path.startswith("/api/v1/auth/")
        assert (path, bool([way for way in operation.get("security", []) if way])) == (path, not is_open)
        assert (method, path, "401" in operation["responses"]) == (method, path, not is_open)
    assert schema["components"]["securitySchemes"]["jwtAuth"]["scheme"] == "bearer"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = call(stranger(), "GET", "/api/docs/").content.decode()

    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/static/")
        assert finders.find(address.removeprefix("/static/"))
        # It is a file that stays open until the answer is closed.
        with closing(call(stranger(), "GET", address)) as answer:
            assert answer.status_code == 200
    assert re.findall(r"https?://[^\s\"']+", page) == []
    assert "/api/schema/" in page
