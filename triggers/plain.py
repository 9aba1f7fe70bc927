"""The plain case of `POST triggers/`: what nearly every request is, read without the machinery for everything else.

Nothing is refused here. Whatever is not plain and good (a field that is rare, a header that means something, a fault of
any kind) goes the general way, through Django and DRF, which have the words for it.
"""

from io import BytesIO
from typing import Any

from rest_framework.exceptions import APIException

from accounts.authentication import BearerAuthentication
from accounts.models import User
from accounts.roles import Capability
from accounts.strict_json import text_of, value_of
from accounts.throttling import UserThrottle
from triggers.acceptance import TriggerRequest
from triggers.serializers import LARGEST_RECIPIENT_BYTES, LONGEST_KEY, LONGEST_WORKFLOW
from workflows.priorities import LANES, Priority

NAMES = frozenset({"workflow", "idempotency_key", "recipient", "context", "priority"})
NEEDED = frozenset({"workflow", "idempotency_key"})
ACCEPTED_ANSWERS = frozenset({"", "*/*", "application/json"})
# In a request's META: what went wrong when it was accepted as a plain one, and is not to be tried again.
TROUBLE = "notifyflow.trouble"
CREATING = frozenset({Capability.CREATE_TRIGGERS})


class Call:
    """A request as far as the plain case looks at one: `META` is the server's environment, as in Django's requests."""

    __slots__ = ("META", "auth", "request_id", "user")

    def __init__(self, environ: dict[str, Any], request_id: str) -> None:
        self.META = environ
        self.request_id = request_id
        self.user: User | None = None
        self.auth: Any = None


def plain_request(call: Call) -> TriggerRequest | None:
    """Return what is asked for by a caller who may ask, within the limits; None when somebody else has to look at it.

    What was found out stands on the call: `user` and `auth`, and in its META the rate once it has been counted.
    """
    if not _has_plain_head(call.META) or not _is_let_in(call):
        return None
    wanted = read(_body(call.META))
    if wanted is None:
        return None
    rate = UserThrottle.count(call, call.user)  # type: ignore[arg-type]  # it looks at META alone
    return None if rate is not None and rate.is_exceeded else wanted


def _has_plain_head(meta: dict[str, Any]) -> bool:
    """Say whether the headers ask for nothing special, and no part of the body can be past its limit."""
    length = meta.get("CONTENT_LENGTH") or ""
    return (
        meta.get("CONTENT_TYPE") == "application/json"
        and not meta.get("QUERY_STRING")
        and "HTTP_IDEMPOTENCY_KEY" not in meta
        and meta.get("HTTP_ACCEPT", "") in ACCEPTED_ANSWERS
        and length.isdecimal()
        and int(length) <= LARGEST_RECIPIENT_BYTES
    )


def _is_let_in(call: Call) -> bool:
    try:
        found = _bearer.authenticate(call)  # type: ignore[arg-type]  # it looks at META alone
    except APIException:
        return False
    if found is None:
        return False
    call.user, call.auth = found
    return call.user.may(CREATING)


def _body(meta: dict[str, Any]) -> bytes:
    """Return the body, and leave it to be read again."""
    body: bytes = meta["wsgi.input"].read(int(meta["CONTENT_LENGTH"]))
    meta["wsgi.input"] = BytesIO(body)
    return body


def read(content: bytes) -> TriggerRequest | None:
    """Return the body's request; the same rules as TriggerBodySerializer's, for what they let pass as it stands."""
    try:
        body: Any = value_of(text_of(content))
    except APIException:
        return None
    if not isinstance(body, dict) or not NEEDED <= body.keys() <= NAMES:
        return None
    workflow, key = body["workflow"], body["idempotency_key"]
    recipient, context, lane = body.get("recipient", {}), body.get("context", {}), body.get("priority")
    if (
        _is_text(workflow, LONGEST_WORKFLOW)
        and workflow == workflow.strip()
        and _is_text(key, LONGEST_KEY)
        and isinstance(recipient, dict)
        and isinstance(context, dict)
        and ("priority" not in body or (isinstance(lane, str) and lane in LANES))
    ):
        return TriggerRequest(workflow, key, recipient, context, Priority.of_lane(lane) if lane else None)
    return None


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest


_bearer = BearerAuthentication()
