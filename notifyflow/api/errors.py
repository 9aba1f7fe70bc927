"""Answers to requests that never reach a view, in the API's error form; the admin keeps Django's pages."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

NOT_FOUND = {
    "type": "client_error",
    "errors": [{"code": "not_found", "detail": "There is no such page.", "attr": None}],
}
BAD_REQUEST = {
    "type": "client_error",
    "errors": [{"code": "bad_request", "detail": "Bad request.", "attr": None}],
}
SERVER_ERROR = {
    "type": "server_error",
    "errors": [{"code": "error", "detail": "A server error occurred; it has been logged.", "attr": None}],
}


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
    """500 as JSON under /api/; says nothing of the cause."""
    if request.path.startswith("/api/"):
        return JsonResponse(SERVER_ERROR, status=500)
    return defaults.server_error(request)
