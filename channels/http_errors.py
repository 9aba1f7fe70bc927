"""What an HTTP answer, or the lack of one, says about a message; for every provider that speaks HTTP."""

import ssl
from datetime import UTC, datetime
from http import HTTPStatus

import requests
from urllib3 import exceptions as urllib3_errors
from urllib3.exceptions import MaxRetryError, NewConnectionError
from urllib3.util.ssl_match_hostname import CertificateError

from channels.contract import PermanentSendError, SendError, TransientSendError
from channels.retry_after import parse_retry_after

# The account is at fault, or the address of the service: nothing that the message could mend.
_ACCOUNT_STATUSES = {401: "authentication_failed", 402: "account_suspended", 403: "authentication_failed"}
_TRANSIENT_STATUSES = {408: "timeout", 425: "provider_error", 429: "rate_limited"}
_PERMANENT_STATUSES = {413: "message_too_large"}
# The provider began to work on the request and did not say how it ended.
_IN_DOUBT_STATUSES = {500, 502, 504}
# The first class that fits names the failure of a request, made with requests or with the urllib3 below it.
_REQUEST_CODES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (urllib3_errors.LocationValueError, "misconfigured"),
    ((urllib3_errors.SSLError, requests.exceptions.SSLError), "tls_failed"),
    (NewConnectionError, "connection_failed"),
    ((urllib3_errors.TimeoutError, requests.Timeout), "timeout"),
    (urllib3_errors.HTTPError, "connection_failed"),
    (ValueError, "misconfigured"),  # about the address, the proxy or a header
    (requests.RequestException, "connection_failed"),
    (OSError, "misconfigured"),  # about the file of certificates: the network's are wrapped by either library
)
_BEFORE_SENDING = (NewConnectionError, urllib3_errors.ConnectTimeoutError, urllib3_errors.LocationValueError)


def sort_status(status_code: int, *, provider: str, message: str, retry_after: str | None = None) -> SendError:
    """Sort an answer outside 2xx by its status alone: 429, 5xx and account trouble pass, other 4xx stay.

    `retry_after` is the raw header; `message` has no secrets.
    """
    pause = parse_retry_after(retry_after, now=datetime.now(UTC))
    is_client_error = HTTPStatus.BAD_REQUEST <= status_code < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_client_error and status_code not in _ACCOUNT_STATUSES | _TRANSIENT_STATUSES:
        return PermanentSendError(
            provider=provider,
            code=_PERMANENT_STATUSES.get(status_code, "rejected"),
            message=message,
            status_code=status_code,
        )
    code = (_ACCOUNT_STATUSES | _TRANSIENT_STATUSES).get(status_code, "provider_error")
    return TransientSendError(
        provider=provider,
        code=code,
        message=message,
        status_code=status_code,
        retry_after=pause,
        is_in_doubt=status_code in _IN_DOUBT_STATUSES,
    )


def sort_request_error(error: BaseException | None, *, provider: str) -> TransientSendError:
    """Sort the failure of a request that brought no answer, by the error of requests or urllib3; all may pass."""
    # The text of the exception is left out: it may quote URLs and headers.
    return TransientSendError(
        provider=provider,
        code=next((code for kind, code in _REQUEST_CODES if isinstance(error, kind)), "connection_failed"),
        message=f"no answer from {provider} ({type(error).__name__})",
        is_in_doubt=_may_have_left(error),
    )


def _may_have_left(error: BaseException | None) -> bool:
    """Tell whether the request may have reached the provider before it failed."""
    if isinstance(error, urllib3_errors.HTTPError):
        return _may_have_arrived(error)
    # A file of certificates that is missing is a plain OSError; what happens on the way is of some other kind.
    if error is None or type(error) is OSError or isinstance(error, (requests.ConnectTimeout, ValueError)):
        return False
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return not isinstance(cause, urllib3_errors.HTTPError) or _may_have_arrived(cause)


def _may_have_arrived(error: Exception) -> bool:
    """Tell the same by an error of urllib3, some of whose classes are for what comes before the request and after."""
    if isinstance(error, urllib3_errors.ProxyError):
        # A proxy that refuses to connect is told by a plain OSError; one that hangs up, perhaps later, by a kind of it.
        original = error.original_error
        return type(original) is not OSError and _may_have_arrived(original)
    if isinstance(error, urllib3_errors.SSLError):
        cause = error.args[0] if error.args else None
        return not isinstance(cause, (ssl.SSLCertVerificationError, CertificateError))
    return not isinstance(error, _BEFORE_SENDING)
