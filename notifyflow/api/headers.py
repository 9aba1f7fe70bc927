"""What every answer says beside its body: who may show it, who may keep it, and how much the caller may still ask."""

import json
from collections.abc import Callable
from typing import Any

from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from accounts.throttling import UserThrottle
from notifyflow.api.errors import BAD_REQUEST, NOT_FOUND, SERVER_ERROR
from notifyflow.outside_api import API

DOCS = "/api/docs/"
# An answer is data: whatever a browser is made to take it for, it may load and run nothing.
POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGES = ("text/html", "text/plain")
ERRORS = {400: BAD_REQUEST, 404: NOT_FOUND}
FAILED = 400


class SecurityHeadersMiddleware(CSPMiddleware):
    """Gives the API's answers fixed headers and the caller's rate, and pages the policy of the settings."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        super().__init__(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, and complete the answer."""
        path = request.path_info
        if not path.startswith(API) or path.startswith(DOCS):
            page: Any = super().__call__(request)
            return page  # type: ignore[no-any-return]  # an answer, since nothing here is asynchronous
        response: Any = self.get_response(request)
        if response.status_code >= FAILED and response.headers.get("Content-Type", "").startswith(PAGES):
            response = _in_form(response)
        headers = response.headers
        headers["Content-Security-Policy"] = POLICY
        if "Cache-Control" not in headers:
            # What has an ETag may be kept, if it is asked for each time; everything else is nobody's to keep.
            headers["Cache-Control"] = "private, no-cache" if "ETag" in headers else "no-store"
        for name, value in _rate_headers(request):
            headers[name] = value
        return response  # type: ignore[no-any-return]  # as above

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Give a page its policy; that of the documentation compiles nothing."""
        if request.path_info.startswith(DOCS):
            response._csp_replace = {"script-src": ["'self'"]}  # type: ignore[attr-defined]  # noqa: SLF001  # django-csp's name
        answer: HttpResponseBase = super().process_response(request, response)
        return answer


def _rate_headers(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what the caller is told of the limit; nothing for strangers."""
    user = getattr(request, "user", None)
    if user is None:
        return []
    # One that was refused before it was counted, by permission or by method, counts too.
    rate = UserThrottle.count(request, user)
    return rate.headers() if rate else []


def _in_form(page: HttpResponseBase) -> HttpResponse:
    """Return the API's error in place of a page: with DEBUG, Django shows one with its settings and the request."""
    form = ERRORS.get(page.status_code, SERVER_ERROR if page.status_code >= 500 else BAD_REQUEST)  # noqa: PLR2004  # as in HTTP
    answer = HttpResponse(json.dumps(form), content_type="application/json", status=page.status_code)
    # It has been logged with what was wrong.
    answer._has_been_logged = getattr(page, "_has_been_logged", False)  # type: ignore[attr-defined]  # noqa: SLF001  # django.utils.log's own mark
    return answer
