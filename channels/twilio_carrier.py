"""SMS through Twilio's Messages resource, with the official client and our own time limits."""

import logging
from typing import Any
from urllib.parse import urlsplit

import requests
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from channels.http_errors import sort_request_error
from channels.twilio_errors import PROVIDER, sort_answer

_MESSAGING_SERVICE_PREFIX = "MG"
_SID_LENGTH = 34
TWILIO = "https://api.twilio.com"
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
    """Carry the official client's requests: time limit, no retries of its own, no log of what is sent."""

    def __init__(self, *, api_base: str, timeout_seconds: float) -> None:
        super().__init__(logger, is_async=False, timeout=timeout_seconds)
        self._api_base = api_base.rstrip("/")
        self._session = requests.Session()
        # For each request it would look through the whole environment for proxies and certificates: once is enough.
        found = self._session.merge_environment_settings(self._api_base or TWILIO, {}, None, None, None)
        self._session.proxies, self._session.verify = found["proxies"], found["verify"]
        self._session.trust_env = False

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
            answer = self._session.request(
                method,
                self._redirect(uri),
                params=params,
                data=data,
                headers=headers,
                auth=auth,
                timeout=timeout or self.timeout,
                allow_redirects=allow_redirects,
            )
        except requests.RequestException as error:
            raise sort_request_error(error, provider=PROVIDER) from error
        refusal = sort_answer(answer.status_code, _json_object(answer), retry_after=answer.headers.get("Retry-After"))
        if refusal is not None:
            raise refusal
        return Response(answer.status_code, answer.text, answer.headers)

    def close(self) -> None:
        self._session.close()

    def _redirect(self, uri: str) -> str:
        if not self._api_base:
            return uri
        parts = urlsplit(uri)
        return self._api_base + parts.path + (f"?{parts.query}" if parts.query else "")


def _json_object(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except requests.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
