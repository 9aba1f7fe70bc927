"""The WSGI application that granian and waitress serve: Django's, after two repairs of what servers hand over."""

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.checks import ERROR, Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http.response import HttpResponseBase

from execution.checks import TIME_LIMITS
from notifyflow.collector import spare_what_is_loaded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "notifyflow.settings")

# Here bodies are larger than what may be in memory (triggers/bulk).
STREAMED = "/api/v1/triggers/bulk/"


class Utf8Request(WSGIRequest):
    """A request in UTF-8, whatever charset its content type names.

    Django reads the query in that charset while it makes the request, before anything could answer for it: with
    `charset=hex`, or with too many parameters, the server's bare 500 would be all the answer there is.
    """

    @property
    def encoding(self) -> str:
        """The only encoding there is."""
        return "utf-8"

    @encoding.setter
    def encoding(self, _: str | None) -> None:
        """Keep UTF-8."""


class Handler(WSGIHandler):
    """Django's handler, for such requests and for bodies that came without a length."""

    request_class = Utf8Request

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> HttpResponseBase:
        """Answer a request."""
        if "CONTENT_LENGTH" not in environ and environ.get("wsgi.input_terminated"):
            if environ.get("PATH_INFO") == STREAMED:
                _let_body_stream(environ)
            else:
                _measure_body(environ)
        return super().__call__(environ, start_response)


def _let_body_stream(environ: dict[str, Any]) -> None:
    """Give a body in chunks more length than is taken, and say so: it is read as it comes, to its end."""
    environ["CONTENT_LENGTH"] = str(settings.API_UPLOAD_LIMIT_BYTES + 1)
    environ["notifyflow.length_is_unknown"] = True


def _measure_body(environ: dict[str, Any]) -> None:
    """Give a body in chunks the length it turned out to have; Django takes one without a length for empty.

    One byte more than the API reads is enough to be refused as too large.
    """
    body = environ["wsgi.input"].read(settings.API_BODY_LIMIT_BYTES + 1)
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


django.setup(set_prefix=False)

from notifyflow.front_door import stand_before  # noqa: E402  # what it needs can only be imported now


def _refuse_unsafe_settings() -> None:
    """Raise ImproperlyConfigured for what `manage.py check` refuses; no check runs before a server starts."""
    faults = run_checks(tags=[Tags.security, TIME_LIMITS])
    if errors := [f"{fault.msg} {fault.hint or ''}".strip() for fault in faults if fault.level >= ERROR]:
        raise ImproperlyConfigured(" ".join(errors))


_refuse_unsafe_settings()
application = stand_before(Handler())

# Measured as a tenth of a request's time: accepted triggers a second with and without, alternating.
spare_what_is_loaded()
