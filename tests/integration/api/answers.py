"""Asking as a stranger would, and reading errors in the one form that API.md gives them."""

import json
from typing import Any, Protocol

from django.test import Client

from accounts.models import User
from tests.conftest import access_token
from tests.front import FrontClient

JSON = "application/json"
V1 = "/api/v1/"
TYPES = {400: ("validation_error", "client_error"), 500: ("server_error",), 503: ("server_error",)}
# What Python, Django or PostgreSQL say to programmers has no place in an answer.
GIVEN_AWAY = ("Traceback", "django", "psycopg", "Exception(", "settings.", "sys.", "<class")


class Answer(Protocol):
    """What the test client and the socket client have in common."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Any: ...
    @property
    def content(self) -> bytes: ...


def stranger() -> Client:
    """Return a client that nobody has signed in; an exception in a view is a 500 here, not an exception."""
    return FrontClient(raise_request_exception=False)


def signed_in(user: User) -> Client:
    """Return a client with a user's token."""
    return FrontClient(raise_request_exception=False, headers={"Authorization": f"Bearer {access_token(user)}"})


def call(client: Client, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """Send a body as JSON, or as it is when it is bytes; `path` is under `/api/v1/` unless it begins with a slash."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = path if path.startswith("/") else V1 + path
    return client.generic(method, url, data, **{"content_type": JSON, **more})


def errors_of(answer: Answer) -> list[tuple[str | None, str]]:
    """Return `(attr, code)` of each error, having checked that the answer is in the error form, with sentences."""
    assert answer.status_code >= 400
    assert answer.headers["Content-Type"] == JSON
    assert answer.headers["X-Request-ID"]
    body = json.loads(answer.content)
    assert set(body) == {"type", "errors"}
    # 401 to 499 are never about a field.
    assert body["type"] in TYPES.get(answer.status_code, ("client_error",))
    assert body["errors"]
    for error in body["errors"]:
        assert set(error) == {"code", "detail", "attr"}
        assert error["code"].replace("_", "").isalnum()
        assert len(error["detail"]) > 8
        assert not [word for word in GIVEN_AWAY if word in error["detail"]]
    return [(error["attr"], error["code"]) for error in body["errors"]]


def details_of(answer: Answer) -> list[str]:
    """Return the sentence of each error."""
    errors_of(answer)
    return [error["detail"] for error in json.loads(answer.content)["errors"]]
