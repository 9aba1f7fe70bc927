"""HTTP answers and broken requests, sorted by table."""

import ssl
from datetime import timedelta
from http.client import RemoteDisconnected

import pytest
import requests
from urllib3 import exceptions
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError
from urllib3.util.ssl_match_hostname import CertificateError

from channels.http_errors import sort_request_error, sort_status

POOL = HTTPConnectionPool("provider.example")
UNTRUSTED = ssl.SSLCertVerificationError("self-signed")
REFUSED = MaxRetryError(POOL, "/", NewConnectionError(POOL, "refused"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status_code", "is_transient", "code", "is_in_doubt"),
    [
        (301, True, "provider_error", False),
        (400, False, "rejected", False),
        (401, True, "authentication_failed", False),
        (402, True, "account_suspended", False),
        (403, True, "authentication_failed", False),
        (404, False, "rejected", False),
        (408, True, "timeout", False),
        (413, False, "message_too_large", False),
        (422, False, "rejected", False),
        (429, True, "rate_limited", False),
        (500, True, "provider_error", True),
        (502, True, "provider_error", True),
        (503, True, "provider_error", False),
        (504, True, "provider_error", True),
    ],
)
def test_sort_status(status_code: int, is_transient: bool, code: str, is_in_doubt: bool) -> None:
    error = sort_status(status_code, provider="postmark", message="no", retry_after="3")

    assert (error.is_transient, error.code, error.is_in_doubt) == (is_transient, code, is_in_doubt)
    assert (error.provider, error.status_code, error.message) == ("postmark", status_code, "no")
    assert error.retry_after == (timedelta(seconds=3) if is_transient else None)


def behind_proxy(original: Exception) -> Exception:
    return requests.exceptions.ProxyError(MaxRetryError(POOL, "/", exceptions.ProxyError("gone", original)))


@pytest.mark.parametrize(
    ("error", "code", "is_in_doubt"),
    [
        (requests.ConnectTimeout(), "timeout", False),
        (requests.ReadTimeout(), "timeout", True),
        (requests.ConnectionError(REFUSED), "connection_failed", False),
        (requests.ConnectionError(ProtocolError("reset")), "connection_failed", True),
        (requests.ConnectionError(), "connection_failed", True),
        (requests.exceptions.ProxyError(), "connection_failed", True),
        (behind_proxy(NewConnectionError(POOL, "refused")), "connection_failed", False),  # type: ignore[arg-type]
        (behind_proxy(OSError("Tunnel connection failed: 407")), "connection_failed", False),
        (behind_proxy(RemoteDisconnected("hung up")), "connection_failed", True),
        (requests.exceptions.SSLError(), "tls_failed", True),
        (requests.exceptions.SSLError(MaxRetryError(POOL, "/", exceptions.SSLError(UNTRUSTED))), "tls_failed", False),
        (requests.exceptions.SSLError(exceptions.SSLError(ssl.SSLError("bad record"))), "tls_failed", True),
        (requests.exceptions.ChunkedEncodingError(), "connection_failed", True),
        (requests.exceptions.InvalidURL(), "misconfigured", False),
        (requests.exceptions.InvalidHeader(), "misconfigured", False),
        (None, "connection_failed", False),
    ],
)
def test_sort_request_error(error: Exception | None, code: str, is_in_doubt: bool) -> None:
    found = sort_request_error(error, provider="twilio")

    assert (found.code, found.is_in_doubt, found.is_transient) == (code, is_in_doubt, True)


@pytest.mark.parametrize(
    ("error", "code", "is_in_doubt"),
    [
        (exceptions.ConnectTimeoutError(), "timeout", False),
        (exceptions.ReadTimeoutError(POOL, "/", "late"), "timeout", True),
        (NewConnectionError(POOL, "refused"), "connection_failed", False),  # type: ignore[arg-type]
        (exceptions.NameResolutionError("provider.example", POOL, OSError()), "connection_failed", False),  # type: ignore[arg-type]
        (ProtocolError("reset"), "connection_failed", True),
        (exceptions.IncompleteRead(3, 4), "connection_failed", True),
        (exceptions.ResponseNotChunked("plain"), "connection_failed", True),
        (exceptions.DecodeError("not gzip"), "connection_failed", True),
        (exceptions.InvalidHeader("two lengths"), "connection_failed", True),
        (exceptions.ProxyError("gone", OSError("Tunnel connection failed: 407")), "connection_failed", False),
        (exceptions.ProxyError("gone", exceptions.ConnectTimeoutError()), "connection_failed", False),
        (exceptions.ProxyError("gone", RemoteDisconnected("hung up")), "connection_failed", True),
        (exceptions.ProxyError("gone", TimeoutError()), "connection_failed", True),
        (exceptions.SSLError(UNTRUSTED), "tls_failed", False),
        (exceptions.SSLError(CertificateError("another host")), "tls_failed", False),
        (exceptions.SSLError(ssl.SSLError("bad record")), "tls_failed", True),
        (OSError("no such file of certificates"), "misconfigured", False),
        (exceptions.LocationParseError("https://user:hush@"), "misconfigured", False),
        (requests.exceptions.InvalidURL("https://user:hush@"), "misconfigured", False),
        (ValueError("Invalid header value b'hush\n'"), "misconfigured", False),
    ],
)
def test_sort_error_of_urllib3(error: Exception, code: str, is_in_doubt: bool) -> None:
    found = sort_request_error(error, provider="twilio")

    assert (found.code, found.is_in_doubt, found.is_transient) == (code, is_in_doubt, True)
    assert "hush" not in str(found)


def test_failed_request_does_not_quote_what_it_failed_on() -> None:
    error = requests.exceptions.InvalidURL("https://user:hush@provider.example")

    assert "hush" not in str(sort_request_error(error, provider="twilio"))
