"""SMS through Twilio's Messages resource, with the official client and our own time limits."""

import logging
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3 import BaseHTTPResponse, HTTPConnectionPool
from urllib3.exceptions import HTTPError

from channels.http_errors import sort_request_error
from channels.twilio_errors import PROVIDER, sort_answer

_MESSAGING_SERVICE_PREFIX = "MG"
_SID_LENGTH = 34
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
logger = logging.getLogger(__name__)


class TwilioCarrier:
    """Hand SMS to Twilio over one kept connection.

    Twilio's Messages resource has no idempotency key and no field for a reference of ours, so a message that
    is sent twice arrives twice; errors say through `is_in_doubt` when that is possible.
    """

    provider = PROVIDER

    def __init__(
        self, *, account_sid: str, auth_token: str, sender: str, api_base: str, timeout_seconds: float
    ) -> None:
        """Take credentials, sender (number, name or Messaging Service SID) and a host other than Twilio's.

        Raises ValueError when credentials or sender are missing.
        """
        if not (account_sid and auth_token and sender):
            raise ValueError("TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN or TWILIO_FROM is not set")
        self._transport = _Transport(api_base=api_base, timeout_seconds=timeout_seconds)
        self._client = Client(account_sid, auth_token, http_client=self._transport)
        is_service = sender.startswith(_MESSAGING_SERVICE_PREFIX) and len(sender) == _SID_LENGTH
        self._origin = {"messaging_service_sid" if is_service else "from_": sender}

    def carry(self, *, message_key: str, to: str, body: str) -> str:
        """Create one message and answer its SID."""
        message = self._client.messages.create(to=to, body=body, **self._origin)
        return str(message.sid)

    def close(self) -> None:
        """Close the kept connection."""
        self._transport.close()


class _Transport(HttpClient):  # type: ignore[misc]  # the client is untyped
    """Carry the official client's requests: time limit, no retries of its own, no log of what is sent.

    Straight through urllib3, at a third of the processor time that a session of requests takes; that library chooses
    the connection, as it knows about proxies and certificates.
    """

    def __init__(self, *, api_base: str, timeout_seconds: float) -> None:
        super().__init__(logger, is_async=False, timeout=timeout_seconds)
        self._api_base = api_base.rstrip("/")
        self._connections = Connections()

    def request(  # noqa: PLR0917 -- the client's signature
        self,
        method: str,
        uri: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Make one request and answer the created resource. Raises SendError's subclasses for all else."""
        try:
            pool, target = self._connections.reaching(self._redirect(uri), params)
            answer = pool.urlopen(
                method,
                target,
                body=urlencode(data or {}),
                headers={**(headers or {}), **_FORM, **(_basic(*auth) if auth else {})},
                timeout=timeout or self.timeout,
                redirect=allow_redirects,
                assert_same_host=False,
                retries=False,
            )
        except (HTTPError, ValueError, OSError) as error:
            raise sort_request_error(error, provider=PROVIDER) from error
        refusal = sort_answer(answer.status, _json_object(answer), retry_after=answer.headers.get("Retry-After"))
        if refusal is not None:
            raise refusal
        return Response(answer.status, answer.data.decode(), answer.headers)

    def close(self) -> None:
        self._connections.close()

    def _redirect(self, uri: str) -> str:
        if not self._api_base:
            return uri
        parts = urlsplit(uri)
        return self._api_base + parts.path + (f"?{parts.query}" if parts.query else "")


class Connections(HTTPAdapter):
    """The kept connections to each host, by whatever proxy and with whatever certificates the environment names."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=1)
        self._known: dict[str, tuple[HTTPConnectionPool, str]] = {}

    def reaching(self, url: str, params: dict[str, Any] | None) -> tuple[HTTPConnectionPool, str]:
        """Return the pool of connections and what to ask them for.

        Raises ValueError when the address, or that of the proxy, makes no sense, OSError without certificates.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._known:
            self._known[origin] = self._look_up(origin)
        pool, prefix = self._known[origin]
        query = "&".join(filter(None, (parts.query, urlencode(params or {}))))
        return pool, prefix + parts.path + (f"?{query}" if query else "")

    def _look_up(self, origin: str) -> tuple[HTTPConnectionPool, str]:
        found = requests.Session().merge_environment_settings(origin, {}, None, None, None)
        request = requests.Request("POST", origin).prepare()
        pool = self.get_connection_with_tls_context(request, verify=found["verify"], proxies=found["proxies"])
        self.cert_verify(pool, origin, found["verify"], None)
        # A proxy that forwards plain HTTP is asked for the whole address.
        return pool, self.request_url(request, found["proxies"]).rstrip("/")


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def _json_object(answer: BaseHTTPResponse) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
