"""Many triggers over HTTP: one JSON body, or an upload line by line and how far it has got."""

from io import BytesIO
from math import ceil
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import actor_of
from accounts.models import User
from accounts.roles import Capability
from accounts.throttling import UserThrottle
from triggers.acceptance import UnknownWorkflow, WorkflowInactive
from triggers.bulk.acceptance import accept_all
from triggers.bulk.body import read_bulk
from triggers.bulk.filters import BulkUploadFilter
from triggers.bulk.lines import Lines
from triggers.bulk.parsers import BulkJSONParser, NdjsonParser
from triggers.bulk.serializers import (
    TRIGGERS_A_REQUEST,
    BulkAcceptedSerializer,
    BulkBodySerializer,
    BulkUploadSerializer,
)
from triggers.bulk.uploads import begin_upload, store_lines
from triggers.models import BulkUpload
from triggers.views import InactiveConflict

NDJSON = NdjsonParser.media_type
LONGEST_NAME = 100


class BulkViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[BulkUpload]):
    """Uploads of triggers, line by line: the caller's own, and everybody's for those who manage triggers."""

    capability = Capability.CREATE_TRIGGERS
    parser_classes = [BulkJSONParser, NdjsonParser]
    queryset = BulkUpload.objects.all()
    serializer_class = BulkUploadSerializer
    filterset_class = BulkUploadFilter

    def get_queryset(self) -> QuerySet[BulkUpload]:
        """Return the uploads that the caller may see."""
        user: Any = self.request.user
        found = BulkUpload.objects.select_related("workflow")
        may_see_all = isinstance(user, User) and user.may({Capability.MANAGE_TRIGGERS})
        return found if may_see_all else found.filter(actor_id=user.pk)

    @extend_schema(
        request={"application/json": BulkBodySerializer, NDJSON: OpenApiTypes.STR},
        parameters=[
            OpenApiParameter(
                "workflow",
                {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
                description=f"The workflow's id or key, of an upload as `{NDJSON}`, which has no other place for it. "
                "Beside a JSON body it may not say otherwise.",
            ),
        ],
        responses={
            202: OpenApiResponse(
                PolymorphicProxySerializer(
                    "BulkAnswer", [BulkAcceptedSerializer, BulkUploadSerializer], resource_type_field_name=None
                ),
                "All are accepted and stored; of an upload, what its lines came to.",
            ),
            400: OpenApiResponse(
                description="What is wrong with each trigger, at `triggers.17.recipient` and so on, in the codes of a "
                "single one, and `context_too_large`; none was stored. Of an upload `body_cut`: it broke off, and what "
                "came until then is stored."
            ),
            404: OpenApiResponse(description="`unknown_workflow`: there is no such workflow."),
            409: OpenApiResponse(description="`workflow_inactive`: the workflow takes no triggers."),
            413: OpenApiResponse(description="`body_too_large`."),
            415: OpenApiResponse(description=f"`unsupported_media_type`: bodies are `application/json` or `{NDJSON}`."),
        },
    )
    def create(self, request: Request) -> Response:
        """Trigger a workflow for many people, once per idempotency key.

        As `application/json`: up to 10,000 triggers, all or none. As `application/x-ndjson`: any number, a trigger a
        line, stored chunk by chunk as they come; lines that are refused keep none of the others back. To send either
        again is safe, also after it broke off.
        """
        try:
            if (request.content_type or "").partition(";")[0].strip().lower() == NDJSON:
                return self._upload(request)
            return self._accept(request)
        except UnknownWorkflow:
            raise NotFound("There is no such workflow.", code="unknown_workflow") from None
        except WorkflowInactive:
            raise InactiveConflict from None

    def _accept(self, request: Request) -> Response:
        text: Any = request.data
        # DRF parses no body that has no bytes.
        bulk = read_bulk(text if isinstance(text, str) else "{}")
        if request.query_params.get("workflow", bulk.workflow) != bulk.workflow:
            raise ValidationError({"workflow": [ErrorDetail("The address says otherwise.", "contradiction")]})
        _charge(request, len(bulk.items), is_counted=True)
        accepted = accept_all(workflow=bulk.workflow, items=bulk.items, by=actor_of(request))
        created = sum(each.created for each in accepted)
        return Response(
            {
                "created": created,
                "existing": len(accepted) - created,
                "triggers": [each._asdict() for each in accepted],
            },
            status=status.HTTP_202_ACCEPTED,
        )

    def _upload(self, request: Request) -> Response:
        by = actor_of(request)
        upload = begin_upload(workflow=_named_workflow(request), by=by)
        stream: Any = request.data
        lines = Lines(
            stream if hasattr(stream, "read") else BytesIO(),
            length=_length_of(request),
            longest=settings.API_BODY_LIMIT_BYTES,
            limit=settings.API_UPLOAD_LIMIT_BYTES,
        )
        for number, read in enumerate(store_lines(upload, lines, by=by)):
            _charge(request, read, is_counted=number == 0)
        return Response(BulkUploadSerializer(upload).data, status=status.HTTP_202_ACCEPTED)


def _length_of(request: Request) -> int | None:
    """Return how many bytes the body has, None for one in chunks, whose server doesn't tell (notifyflow.wsgi)."""
    return None if "notifyflow.length_is_unknown" in request.META else int(request.META.get("CONTENT_LENGTH") or 0)


def _named_workflow(request: Request) -> str:
    name = request.query_params.get("workflow", "")
    if not name.strip():
        raise ValidationError({"workflow": [ErrorDetail("This parameter is required.", "required")]})
    if len(name) > LONGEST_NAME or "\x00" in name:
        raise ValidationError({"workflow": [ErrorDetail("This is no id or key of a workflow.", "invalid")]})
    return name


def _charge(request: Request, triggers: int, *, is_counted: bool) -> None:
    """Count triggers as the requests that they stand for; the one that brought them `is_counted` already."""
    UserThrottle.charge(request, ceil(triggers / TRIGGERS_A_REQUEST) - is_counted)
