"""Triggers over HTTP: asking for them, and reading how far they are. What moves them is in `execution`."""

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import actor_of
from accounts.roles import Capability
from triggers.acceptance import TriggerRequest, UnknownWorkflow, WorkflowInactive, accept_trigger
from triggers.filters import TriggerFilter
from triggers.models import Trigger
from triggers.plain import TROUBLE
from triggers.serializers import LARGEST_CONTEXT_BYTES, TriggerBodySerializer, TriggerSerializer, encoded_size


class InactiveConflict(APIException):
    """409: the workflow takes no triggers."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "workflow_inactive"
    default_detail = "The workflow is not active."


class ContextTooLarge(APIException):
    """413: the context is past its limit."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "context_too_large"
    default_detail = f"The context is larger than {LARGEST_CONTEXT_BYTES} bytes."


REPLAYED = OpenApiParameter(
    "Idempotent-Replayed",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200],
    required=True,
    enum=["true"],
    description="The trigger stood already; nothing was made.",
)
PAYLOAD_DIFFERS = OpenApiParameter(
    "Idempotent-Payload-Differs",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    response=[200],
    enum=["true"],
    description="This request asked for something else than the one that made the trigger.",
)


class TriggerViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Trigger]):
    """Trigger workflows, and watch the triggers."""

    capability = {
        "create": Capability.CREATE_TRIGGERS,
        "list": Capability.MANAGE_TRIGGERS,
        "retrieve": Capability.MANAGE_TRIGGERS,
    }
    queryset = Trigger.objects.all()
    serializer_class = TriggerSerializer
    filterset_class = TriggerFilter

    def get_queryset(self) -> QuerySet[Trigger]:
        """Return triggers with what their answer shows, in one query."""
        return Trigger.objects.select_related("workflow", "version").defer("run_state", "version__definition")

    @extend_schema(
        request=TriggerBodySerializer,
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "maxLength": 255, "pattern": r"^[!-~][\t -~]*$"},
                OpenApiParameter.HEADER,
                description="Instead of the field; with both, they must be the same.",
                examples=[OpenApiExample("a-key", "order-17-shipped")],
            ),
            REPLAYED,
            PAYLOAD_DIFFERS,
        ],
        responses={
            202: OpenApiResponse(TriggerSerializer, "Accepted and stored."),
            200: OpenApiResponse(
                TriggerSerializer,
                "Asked for before: the trigger that stands, with `Idempotent-Replayed: true`, and "
                "`Idempotent-Payload-Differs: true` when this request asked for something else.",
            ),
            404: OpenApiResponse(description="`unknown_workflow`: there is no such workflow."),
            409: OpenApiResponse(description="`workflow_inactive`: the workflow takes no triggers."),
            413: OpenApiResponse(description="`context_too_large` or `body_too_large`."),
        },
    )
    def create(self, request: Request) -> Response:
        """Trigger a workflow for a person, once per idempotency key."""
        try:
            if trouble := request.META.get(TROUBLE):
                raise trouble
            acceptance = accept_trigger(_wanted(request), by=actor_of(request))
        except UnknownWorkflow:
            raise NotFound("There is no such workflow.", code="unknown_workflow") from None
        except WorkflowInactive:
            raise InactiveConflict from None
        shown = TriggerSerializer(acceptance.trigger).data
        return Response(shown, status=acceptance.status_code, headers=acceptance.headers)


def _wanted(request: Request) -> TriggerRequest:
    """Return what a body asks for. Raises ValidationError and ContextTooLarge."""
    body = TriggerBodySerializer(data=request.data, context={"idempotency_key": request.headers.get("Idempotency-Key")})
    body.is_valid(raise_exception=True)
    wanted = body.request()
    if _is_too_large(request, wanted.context):
        raise ContextTooLarge
    return wanted


def _is_too_large(request: Request, context: dict[str, object]) -> bool:
    """Say whether the context is past its limit; a body within the limit can't hold one that is not."""
    try:
        length = int(request.headers.get("Content-Length") or LARGEST_CONTEXT_BYTES + 1)
    except ValueError:
        length = LARGEST_CONTEXT_BYTES + 1
    return length > LARGEST_CONTEXT_BYTES and encoded_size(context) > LARGEST_CONTEXT_BYTES
