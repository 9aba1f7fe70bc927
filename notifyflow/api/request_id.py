"""Each request has an id: the caller's `X-Request-ID` when it is a sane one, else a new one.

The answer carries it, and so does every log line of the request.
"""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response
from structlog.contextvars import bound_contextvars
from uuid_utils.compat import uuid7

SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
FAILED = 400


class RequestIdMiddleware:
    """Binds the id to the log lines of the request, and puts it onto the request (`request_id`) and into the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on with an id."""
        given = request.headers.get("X-Request-ID", "")
        request_id = given if SANE.fullmatch(given) else str(uuid7())
        request.request_id = request_id  # type: ignore[attr-defined]  # for accounts.audit, which reads it with getattr
        with bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            if response.status_code >= FAILED:
                # Django's handler logs failures once all middleware is left, which is too late for the id. What is
                # logged already, by whom it came from, is not logged again.
                log_response(
                    "%s: %s", response.reason_phrase, request.path, response=response, request=request
                )  # fmt: skip
        response["X-Request-ID"] = request_id
        return response
