"""The plain case of `POST triggers/`, answered before Django makes a request of it: that takes longer than the rest.

What it answers is what Django would: the headers are those that the middleware gives, found out once for each host and
scheme; tests hold the two ways together. Whatever is not plain, or goes wrong, is Django's, which has the words for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import close_old_connections, connection
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bound_contextvars
from uuid_utils.compat import uuid7

from accounts.audit import api_actor
from accounts.rate_limits import Rate
from accounts.throttling import COUNTED
from notifyflow.api.request_id import SANE
from triggers.acceptance import Acceptance, accept_trigger
from triggers.plain import TROUBLE, Call, plain_request
from triggers.serializers import TriggerSerializer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

PATH = "/api/v1/triggers/"
JSON = "application/json"
ALLOWED = "GET, POST, HEAD, OPTIONS"
OF_ONE_ANSWER = {"Content-Length", "X-Request-ID"}


class NotNow(Exception):
    """The middleware is at fault."""


class Answer(NamedTuple):
    """What the server is told."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


def stand_before(django: WSGIHandler) -> "WSGIApplication":
    """Return the application that answers what is plain, and hands everything else on."""

    def application(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        found = answer(environ)
        if found is None:
            return django(environ, start_response)
        start_response(found.status, found.headers)
        return [found.body]

    return application


def answer(environ: dict[str, Any]) -> Answer | None:
    """Answer a plain request; None for what Django has to look at, whose body can still be read."""
    if environ["REQUEST_METHOD"] != "POST" or environ.get("PATH_INFO") != PATH or "HTTP_ORIGIN" in environ:
        return None
    headers = _headers_for(environ)
    if headers is None:
        return None
    given = environ.get("HTTP_X_REQUEST_ID", "")
    call = Call(environ, given if SANE.fullmatch(given) else str(uuid7()))
    with bound_contextvars(request_id=call.request_id), _fresh_connections():
        try:
            acceptance = _accept(call)
        except Exception as error:  # noqa: BLE001  # raised again, where there are words for it: see `triggers.views`
            environ[TROUBLE] = error
            acceptance = None
    if acceptance is not None:
        rate: Rate | None = environ.get(COUNTED)
        own = [*(rate.headers() if rate else ()), ("X-Request-ID", call.request_id)]
        return _answer(acceptance, [*headers, *own])
    environ["HTTP_X_REQUEST_ID"] = call.request_id
    return None


@contextmanager
def _fresh_connections() -> Iterator[None]:
    """Let go of a connection that is stale or too old, as Django does when a request begins and when it has ended."""
    _close_old_connections()
    try:
        yield
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    if not connection.in_atomic_block:
        close_old_connections()


def _accept(call: Call) -> Acceptance | None:
    wanted = plain_request(call)
    if wanted is None:
        return None
    return accept_trigger(wanted, by=api_actor(call, call.user, call.auth))  # type: ignore[arg-type]  # all it looks at


def _answer(acceptance: Acceptance, headers: list[tuple[str, str]]) -> Answer:
    status = HTTPStatus(acceptance.status_code)
    body = msgspec.json.encode(TriggerSerializer.shown(acceptance.trigger))
    headers += [*acceptance.headers.items(), ("Content-Length", str(len(body)))]
    return Answer(f"{status.value} {status.phrase}", headers, body)


def _headers_for(environ: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    proxy_header = (settings.SECURE_PROXY_SSL_HEADER or ("",))[0]
    names = ("HTTP_HOST", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "SERVER_NAME", "SERVER_PORT", proxy_header)
    try:
        return headers_of_all(environ["wsgi.url_scheme"], tuple((name, environ.get(name)) for name in names))
    except NotNow:
        return None


@lru_cache(maxsize=256)
def headers_of_all(scheme: str, sent: tuple[tuple[str, str | None], ...]) -> list[tuple[str, str]] | None:
    """Return what Django's middleware puts on an answer; None where it lets no request pass, as for a strange host.

    Raises NotNow for a fault, which is not remembered.
    """
    environ = {name: value for name, value in sent if value is not None} | {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": PATH,
        "wsgi.url_scheme": scheme,
        "wsgi.input": BytesIO(),
    }
    found = middleware().get_response(WSGIRequest(environ))
    if found.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotNow
    if found.status_code != HTTPStatus.OK:
        return None
    return [(name, value) for name, value in found.items() if name not in OF_ONE_ANSWER]


class _Middleware(WSGIHandler):
    """All middleware, around a view that says nothing."""

    def _get_response(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(content_type=JSON, headers={"Allow": ALLOWED})


@lru_cache
def middleware() -> _Middleware:
    return _Middleware()
