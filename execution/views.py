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
from execution.cancel import AlreadyFinished, cancel_matching, cancel_trigger
from execution.filters import StepFilter
from execution.models import Step
from execution.process import Busy, Held, Interrupted, NotDue, process_trigger
from execution.redrive import REFUSALS, redrive_matching, redrive_trigger
from execution.refusals import TriggerConflict
from execution.serializers import (
    CanceledCountSerializer,
    CancelFilterSerializer,
    CancellationSerializer,
    RedriveCountSerializer,
    RedriveFilterSerializer,
    StepSerializer,
)
from triggers.models import Trigger, TriggerQuerySet
from triggers.serializers import TriggerSerializer
from triggers.states import UNDER_WAY


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

    def get_serializer_context(self) -> dict[str, Any]:
        """Have each step in doubt tell what follows, too."""
        return {**super().get_serializer_context(), "tells_prospects": True}


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
        """Cancel a trigger.

        The answer says what was already sent, what is being sent at this moment or in doubt, and which nodes never will
        be. What is being sent is recorded in its step when the provider answers, and nothing follows it.
        """
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
                "never": cancellation.never,
            }
        )


class CancelMatchingView(APIView):
    """End many triggers."""

    capability = Capability.MANAGE_TRIGGERS

    @extend_schema(
        operation_id="triggers_cancel_matching", request=CancelFilterSerializer, responses=CanceledCountSerializer
    )
    def post(self, request: Request) -> Response:
        """Cancel triggers under way by filter, up to 1,000 a call, oldest first.

        Ask with `dry_run` first. Call again while some remain, with `last_id` as `after_id`.
        """
        body = CancelFilterSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        done = cancel_matching(
            _chosen(wanted),
            statuses=wanted.get("statuses", UNDER_WAY),
            after_id=wanted.get("after_id"),
            is_dry_run=wanted["dry_run"],
            by=actor_of(request),
            chosen_by=_told({name: value for name, value in wanted.items() if name != "dry_run"}),
        )
        return Response(CanceledCountSerializer(done).data)


class RedriveView(APIView):
    """Continue a failed trigger."""

    capability = Capability.MANAGE_TRIGGERS

    @extend_schema(
        request=None,
        responses={
            200: TriggerSerializer,
            409: OpenApiResponse(
                description="`not_failed`: only a failed trigger can be redriven; `workflow_deleted`: nothing of its "
                "workflow is sent any more."
            ),
        },
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Redrive a failed trigger from the node that failed."""
        try:
            trigger = redrive_trigger(pk, by=actor_of(request))
        except Trigger.DoesNotExist:
            raise NotFound from None
        except REFUSALS as refusal:
            raise TriggerConflict(str(refusal), code=refusal.code) from None
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
        done = redrive_matching(
            _chosen(wanted), after_id=wanted.get("after_id"), by=actor_of(request), chosen_by=_told(wanted)
        )
        return Response(RedriveCountSerializer(done).data)


def _chosen(wanted: dict[str, Any]) -> TriggerQuerySet:
    """Return the triggers that a filter names."""
    triggers = Trigger.objects.all()
    if "workflow" in wanted:
        triggers = triggers.of_workflow(wanted["workflow"])
    if "created_after" in wanted:
        triggers = triggers.filter(created_at__gte=wanted["created_after"])
    if "created_before" in wanted:
        triggers = triggers.filter(created_at__lt=wanted["created_before"])
    if "ids" in wanted:
        triggers = triggers.filter(pk__in=wanted["ids"])
    return triggers


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
