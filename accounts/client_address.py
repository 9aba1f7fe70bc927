"""From where a request came: one rule for the throttle, the lock-out and the audit trail."""

from django.http import HttpRequest
from rest_framework.settings import api_settings


def client_address(request: HttpRequest) -> str:
    """Return the caller's address: the connection's own, or what the last of NUM_PROXIES trusted proxies saw.

    X-Forwarded-For is what any client may write, so that without a trusted proxy it is not looked at.
    """
    own: str = request.META.get("REMOTE_ADDR") or ""
    proxies: int = api_settings.NUM_PROXIES or 0
    forwarded: list[str] = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if proxies < 1 or not forwarded[0].strip():
        return own[:45]
    return forwarded[-min(proxies, len(forwarded))].strip()[:45]
