"""Workflows' ETags over HTTP: how they are written, asked for, refused and documented."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from workflows.models import Workflow, WorkflowVersion
from workflows.preconditions import MalformedTags, Precondition, read_tags

TAG = r'(W/)?"[!#-~]*"'
TAGS = rf"^(\*|{TAG}( *, *{TAG})*)$"
AN_ETAG = OpenApiExample("an-ETag", '"4-6441e9"')


def _list_of_tags(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=description, pattern=TAGS, examples=[AN_ETAG]
    )


IF_MATCH = _list_of_tags(
    "If-Match", "ETags of what you read, or `*`: when the workflow is another by now, nothing is done (412)."
)
IF_NONE_MATCH = _list_of_tags(
    "If-None-Match", "ETags of what you have, or `*`: when it is one of them still, the answer is 304."
)
ETAG = OpenApiParameter(
    "ETag",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200, 201, 304],
    required=True,
    description="Stands for what this answer shows; every change makes another. Send it as `If-Match` with a change.",
)
MALFORMED = OpenApiResponse(description="`malformed_tags`: a header is no list of ETags.")
NOT_MODIFIED = OpenApiResponse(description="It is what `If-None-Match` names: there is nothing new to read.")
PRECONDITION_FAILED = OpenApiResponse(
    description="`precondition_failed`: the workflow is not what `If-Match` demands; nothing was changed."
)


class PreconditionFailed(APIException):
    """412: the workflow is not what the caller's headers demand."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = (
        "This workflow is not, or no longer, what If-Match or If-None-Match demands; nothing was changed. "
        "Read it again, put your change into what it is now, and send that with the new ETag."
    )


def etag_of(shown: Workflow | WorkflowVersion) -> str:
    """Return the strong ETag of a workflow, or of one of its versions, which never change."""
    return f'"{shown.state_tag}"' if isinstance(shown, Workflow) else f'"{shown.pk.hex}"'


def precondition_of(request: Request) -> Precondition:
    """Return what the headers demand. Raises ValidationError (400, `malformed_tags`)."""
    return Precondition(if_match=_tags(request, "If-Match"), if_none_match=_tags(request, "If-None-Match"))


def guard_of(request: Request) -> Callable[[Workflow], bool]:
    """Return what a service shall ask of the locked workflow. Raises ValidationError (400, `malformed_tags`)."""
    precondition = precondition_of(request)
    return lambda workflow: precondition.admits(etag_of(workflow))


def answer_to_get(request: Request, shown: Workflow | WorkflowVersion, body: Callable[[], Any]) -> Response:
    """Answer with `body()`, or with 304 when the caller has it.

    Raises PreconditionFailed (412), and ValidationError (400, `malformed_tags`).
    """
    precondition = precondition_of(request)
    etag = etag_of(shown)
    if not precondition.has_match(etag):
        raise PreconditionFailed
    if not precondition.has_none(etag):
        return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag})
    return Response(body(), headers={"ETag": etag})


def _tags(request: Request, name: str) -> frozenset[str] | None:
    header = request.headers.get(name)
    if header is None:
        return None
    try:
        return read_tags(header)
    except MalformedTags:
        message = f'{name} is `*` or a list of ETags in their quotes, such as "4-6441e9": as ETag gave them.'
        raise ValidationError({name.lower().replace("-", "_"): [message]}, code="malformed_tags") from None
