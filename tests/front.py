"""The service as servers reach it: what is plain is answered by the front door, everything else by Django."""

from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from django.test.client import ClientHandler

from notifyflow import front_door, wsgi


class FrontHandler(ClientHandler):
    """The test client's handler, behind the front door."""

    def __call__(self, environ: dict[str, Any]) -> Any:
        found = front_door.answer(environ)
        if found is None:
            return super().__call__(environ)
        answer: Any = as_response(found)
        answer.wsgi_request = WSGIRequest(environ)
        return answer


class FrontClient(Client):
    """A client that comes through the front door."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.handler = FrontHandler(enforce_csrf_checks=False)


def as_response(found: front_door.Answer) -> HttpResponse:
    """Return an answer as Django has it."""
    answer = HttpResponse(found.body, status=int(found.status[:3]))
    for name, value in found.headers:
        answer[name] = value
    return answer


def served(environ: dict[str, Any]) -> Any:
    """Return the answer of the application that servers are given."""
    told: list[Any] = []
    body = wsgi.application(environ, lambda status, headers, *_: told.extend((status, headers)))  # type: ignore[arg-type]  # nobody writes
    if isinstance(body, HttpResponseBase):
        body.close()
        return body
    return as_response(front_door.Answer(told[0], told[1], b"".join(body)))
