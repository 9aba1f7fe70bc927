"""The plain case of `POST triggers/`: what nearly every request is, read without the machinery for everything else.

Nothing is refused here. Whatever is not plain and good (a field that is rare, a header that means something, a fault of
any kind) goes the general way, through DRF, which has the words for it.
"""

from io import BytesIO
from typing import Any

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError
from django.utils.module_loading import import_string
from rest_framework.exceptions import APIException

from accounts.authentication import BearerAuthentication
from accounts.roles import Capability
from accounts.throttling import UserThrottle
from triggers.acceptance import TriggerRequest
from triggers.serializers import LARGEST_RECIPIENT_BYTES, LONGEST_KEY, LONGEST_WORKFLOW
from workflows.priorities import LANES, Priority

NAMES = frozenset({"workflow", "idempotency_key", "recipient", "context", "priority"})
NEEDED = frozenset({"workflow", "idempotency_key"})
ACCEPTED_ANSWERS = frozenset({"", "*/*", "application/json"})
CREATING = frozenset({Capability.CREATE_TRIGGERS})


def plain_request(request: HttpRequest) -> TriggerRequest | None:
    """Return what is asked for by a caller who may ask, within the limits; None when DRF has to look at it.

    What was found out stands on the request: `user` and `auth`, and `rate` once it has been counted.
    """
    if not _has_plain_head(request) or not _is_let_in(request):
        return None
    wanted = _read(request)
    if wanted is None:
        return None
    rate = UserThrottle.count(request, request.user)
    return None if rate is not None and rate.is_exceeded else wanted


def _has_plain_head(request: HttpRequest) -> bool:
    """Say whether the headers ask for nothing special, and no part of the body can be past its limit."""
    meta = request.META
    length = meta.get("CONTENT_LENGTH") or ""
    return (
        meta.get("CONTENT_TYPE") == "application/json"
        and not meta.get("QUERY_STRING")
        and "HTTP_IDEMPOTENCY_KEY" not in meta
        and meta.get("HTTP_ACCEPT", "") in ACCEPTED_ANSWERS
        and length.isdecimal()
        and int(length) <= LARGEST_RECIPIENT_BYTES
    )


def _is_let_in(request: HttpRequest) -> bool:
    try:
        found = _bearer.authenticate(request)  # type: ignore[arg-type]  # it looks at META alone
    except APIException:
        return False
    if found is None:
        return False
    user, auth = found
    request.user = user
    request.auth = auth  # type: ignore[attr-defined]  # as DRF's own request has it
    return user.may(CREATING)


def _read(request: HttpRequest) -> TriggerRequest | None:
    """Return the body's request; the same rules as TriggerBodySerializer's, for what they let pass as it stands."""
    try:
        body: Any = _parser.parse(BytesIO(request.body))
    except (APIException, UnreadablePostError):
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
_parser: Any = import_string(settings.REST_FRAMEWORK["DEFAULT_PARSER_CLASSES"][0])()
