"""The API's error form, for what views raise and for requests that reach none; the admin keeps Django's pages."""

import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import SuspiciousOperation, TooManyFieldsSent
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views import defaults
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework.exceptions import APIException, ErrorDetail, ParseError
from rest_framework_simplejwt.exceptions import AuthenticationFailed

from execution.database_away import is_away

NOT_FOUND = {
    "type": "client_error",
    "errors": [{"code": "not_found", "detail": "There is no such page.", "attr": None}],
}
BAD_REQUEST = {
    "type": "client_error",
    "errors": [{"code": "bad_request", "detail": "Bad request.", "attr": None}],
}
# Long enough for a pooler or a standby to take over, short enough for a client to wait with its request in hand.
RETRY_AFTER_SECONDS = 5
UNAVAILABLE_DETAIL = "The database is not available at this moment. Try the same again shortly."
UNAVAILABLE = {
    "type": "server_error",
    "errors": [{"code": "database_unavailable", "detail": UNAVAILABLE_DETAIL, "attr": None}],
}
UNAVAILABLE_PAGE = (
    "<!doctype html><html lang=en><title>Not available</title><h1>Not available at this moment</h1>"
    "<p>The database does not answer. Nothing is lost that was accepted; whether your last change was stored is "
    "unknown until it answers again. Try again in a few seconds.</p></html>"
)
SERVER_ERROR_DETAIL = "A server error occurred; it has been logged."
SERVER_ERROR = {
    "type": "server_error",
    "errors": [{"code": "error", "detail": SERVER_ERROR_DETAIL, "attr": None}],
}


class DatabaseUnavailable(APIException):
    """503: the database is away; what the request asked for may stand or not, and may be asked for again."""

    status_code = 503
    default_code = "database_unavailable"
    default_detail = UNAVAILABLE_DETAIL
    wait = RETRY_AFTER_SECONDS


class ApiExceptionHandler(ExceptionHandler):
    """Gives the error form to what Django and simplejwt raise, as drf-standardized-errors does for DRF's own."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        """Return the exception to answer with; what no caller could have caused stays as it is and ends as a 500."""
        if is_away(exc):
            _drop_connection()
            return DatabaseUnavailable()
        if isinstance(exc, TooManyFieldsSent):
            return ParseError("The query has too many parameters.")
        if isinstance(exc, SuspiciousOperation):
            return ParseError("Bad request.")
        if isinstance(exc, UnreadablePostError):
            return ParseError("The body ended before its end.")
        if isinstance(exc, AuthenticationFailed) and isinstance(exc.detail, dict):
            # simplejwt packs sentence and code into a dict, whose keys would be shown as if they were fields of a body.
            exc.detail = _sentence(exc.detail)
        return super().convert_known_exceptions(exc)

    def convert_unhandled_exceptions(self, exc: Exception) -> APIException:
        """Return a 500 that says nothing of the cause."""
        return exc if isinstance(exc, APIException) else APIException(SERVER_ERROR_DETAIL)


def _sentence(detail: Mapping[str, Any]) -> ErrorDetail:
    """Return what simplejwt says of a token: the reason that its check of the token gave, where there is one."""
    messages = detail.get("messages") or [{"message": detail["detail"]}]
    return ErrorDetail(f"{str(messages[0]['message']).rstrip('.')}.", str(detail["code"]))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 as JSON under /api/."""
    if request.path.startswith("/api/"):
        return JsonResponse(NOT_FOUND, status=404)
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 as JSON under /api/: a wrong Host header, a path that can't be decoded."""
    if request.path.startswith("/api/"):
        return JsonResponse(BAD_REQUEST, status=400)
    return defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 as JSON under /api/, or 503 while the database is away; says nothing of the cause."""
    if is_away(sys.exc_info()[1]):
        _drop_connection()
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        if request.path.startswith("/api/"):
            return JsonResponse(UNAVAILABLE, status=503, headers=headers)
        return HttpResponse(UNAVAILABLE_PAGE, status=503, headers=headers)
    if request.path.startswith("/api/"):
        return JsonResponse(SERVER_ERROR, status=500)
    return defaults.server_error(request)


def _drop_connection() -> None:
    """Have the next request connect anew: a connection to a standby answers well, and takes no writes."""
    if not connection.in_atomic_block:
        connection.close()
