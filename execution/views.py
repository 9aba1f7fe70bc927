"""What happened, and what can be done about a trigger, over HTTP."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException, NotFound
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.audit import actor_of
from accounts.roles import Capability
from execution.cancel import AlreadyFinished, cancel_trigger
from execution.filters import StepFilter
from execution.models import Step
from execution.process import Busy, Held, Interrupted, NotDue, process_trigger
from execution.redrive import NotFailed, redrive_matching, redrive_trigger
from execution.serializers import (
    CancellationSerializer,
    RedriveCountSerializer,
    RedriveFilterSerializer,
    StepSerializer,
)
from triggers.models import Trigger
from triggers.serializers import TriggerSerializer


class TriggerConflict(APIException):
    """409: the trigger does not stand where this could be done."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class RunInterrupted(APIException):
    """503: the database went away while a node was run."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "interrupted"
    default_detail = "The database went away during the run; the trigger is taken up again when its lease ends."


class ProcessBusy(APIException):
    """503: this process runs as many nodes on request as it may."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "busy"
    default_detail = "As many nodes are run on request as may be at once; ask again in a moment."
    wait = 1


class StepViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Step]):
    """The execution log over all triggers."""

    capability = Capability.READ_STEPS
    queryset = Step.objects.all()
    serializer_class = StepSerializer
    filterset_class = StepFilter
    lookup_value_converter = "uuid"


class TriggerStepsView(ListAPIView[Step]):
    """The execution log of one trigger, in the order things happened."""

    capability = Capability.READ_STEPS
    queryset = Step.objects.none()
    serializer_class = StepSerializer

    page_ordering = "id"

    def get_queryset(self) -> QuerySet[Step]:
        """Return the trigger's steps. Raises Http404 without such a trigger."""
        if getattr(self, "swagger_fake_view", False):
            return Step.objects.none()
        return get_object_or_404(Trigger.objects.without_bodies(), pk=self.kwargs["pk"]).steps.all()


class CancelView(APIView):
    """End a trigger."""

    capability = Capability.MANAGE_TRIGGERS

    @extend_schema(
        request=None,
        responses={
            200: CancellationSerializer,
            409: OpenApiResponse(description="`already_finished`: there is nothing left to cancel."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel a trigger; the answer says what was already sent."""
        try:
            cancellation = cancel_trigger(pk, by=actor_of(request))
        except Trigger.DoesNotExist:
            raise NotFound from None
        except AlreadyFinished as error:
            raise TriggerConflict(str(error), code="already_finished") from None
        shown = TriggerSerializer(cancellation.trigger).data
        return Response(
            {
                **shown,
                "sent": StepSerializer(cancellation.sent, many=True).data,
                "in_flight": StepSerializer(cancellation.in_flight, many=True).data,
            }
        )


class RedriveView(APIView):
    """Continue a failed trigger."""

    capability = Capability.MANAGE_TRIGGERS

    @extend_schema(
        request=None,
        responses={
            200: TriggerSerializer,
            409: OpenApiResponse(description="`not_failed`: only a failed trigger can be redriven."),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Redrive a failed trigger from the node that failed."""
        try:
            trigger = redrive_trigger(pk, by=actor_of(request))
        except Trigger.DoesNotExist:
            raise NotFound from None
        except NotFailed as error:
            raise TriggerConflict(str(error), code="not_failed") from None
        return Response(TriggerSerializer(trigger).data)


class RedriveMatchingView(APIView):
    """Continue many failed triggers."""

    capability = Capability.MANAGE_TRIGGERS

    @extend_schema(
        operation_id="triggers_redrive_matching", request=RedriveFilterSerializer, responses=RedriveCountSerializer
    )
    def post(self, request: Request) -> Response:
        """Redrive failed triggers by filter, up to 1,000 a call, oldest first.

        Call again while some remain, with `last_id` as `after_id`.
        """
        body = RedriveFilterSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        triggers = Trigger.objects.all()
        if "workflow" in wanted:
            triggers = triggers.of_workflow(wanted["workflow"])
        if "created_after" in wanted:
            triggers = triggers.filter(created_at__gte=wanted["created_after"])
        if "created_before" in wanted:
            triggers = triggers.filter(created_at__lt=wanted["created_before"])
        if "ids" in wanted:
            triggers = triggers.filter(pk__in=wanted["ids"])
        done = redrive_matching(
            triggers, after_id=wanted.get("after_id"), by=actor_of(request), chosen_by=_told(wanted)
        )
        return Response(RedriveCountSerializer(done).data)


def _told(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a filter as the audit trail tells it with each trigger; of a list of ids only how many."""
    return {name: len(value) if isinstance(value, list) else str(value) for name, value in wanted.items()}


class ProcessView(APIView):
    """Run one node of a trigger, as the engine's own workers do."""

    capability = Capability.PROCESS_TRIGGERS

    @extend_schema(
        request=None,
        responses={
            200: OpenApiResponse(TriggerSerializer, "The node was run, or failed; the trigger as it stands now."),
            409: OpenApiResponse(
                description="`held`: in process by another worker; `not_due`: it waits for a delay, a retry or the time"
                " it is scheduled for; `already_finished`."
            ),
            503: OpenApiResponse(
                description="`busy`: too many at once, ask again. `interrupted`: the database went away meanwhile; the"
                " trigger is taken up again when its lease ends."
            ),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Run the trigger's due node now, and only that one; what follows is left to the next claim."""
        try:
            trigger = process_trigger(pk, by=actor_of(request))
        except Trigger.DoesNotExist:
            raise NotFound from None
        except AlreadyFinished as error:
            raise TriggerConflict(str(error), code="already_finished") from None
        except NotDue as error:
            raise TriggerConflict(str(error), code="not_due") from None
        except Held:
            raise TriggerConflict("The trigger is in process by another worker.", code="held") from None
        except Busy:
            raise ProcessBusy from None
        except Interrupted:
            raise RunInterrupted from None
        return Response(TriggerSerializer(trigger).data)
