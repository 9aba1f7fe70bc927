"""Dead letters over HTTP: what failed for good, and what a person decides about it."""

from typing import Any, NoReturn
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import actor_of
from accounts.roles import Capability
from execution.dead_letter_deeds import (
    discard_letter,
    discard_letters,
    discardable,
    redrivable,
    redrive_letter,
    redrive_letters,
)
from execution.dead_letter_filters import DeadLetterFilter
from execution.dead_letter_groups import grouped
from execution.dead_letter_serializers import (
    DeadLetterDetailSerializer,
    DeadLetterSerializer,
    DiscardLettersSerializer,
    GroupingSerializer,
    LettersDiscardedSerializer,
    LettersRedrivenSerializer,
    ReasonSerializer,
    RedriveLetterSerializer,
    RedriveLettersSerializer,
)
from execution.models import DeadLetter
from execution.redrive import REFUSALS, NotOpen, Redriven, WhichVersion
from execution.refusals import TriggerConflict

NOT_OPEN = "`not_open`: somebody has redriven or discarded it already."


class DeadLetterViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[DeadLetter]):
    """Triggers that failed for good; each waits for a person to redrive or discard it."""

    capability = Capability.MANAGE_TRIGGERS
    queryset = DeadLetter.objects.all()
    serializer_class = DeadLetterSerializer
    filterset_class = DeadLetterFilter
    # The services below take an id, where the others' `get_object` takes any text for one that is unknown.
    lookup_value_regex = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

    def get_queryset(self) -> QuerySet[DeadLetter]:
        """Return dead letters with what their answer shows, in one query."""
        bodies = [f"trigger__{name}" for name in ("recipient", "context", "run_state", "version__definition")]
        return DeadLetter.objects.select_related("trigger__version", "workflow").defer(*bodies)

    @extend_schema(responses=DeadLetterDetailSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show a dead letter, with the steps of its trigger."""
        return self._answer(pk)

    @extend_schema(operation_id="dead_letters_groups", responses=GroupingSerializer, filters=False)
    @action(detail=False, filterset_class=None, pagination_class=None)
    def groups(self, request: Request) -> Response:
        """Count the open ones that failed alike: by workflow, node and code, most first."""
        return Response(GroupingSerializer(grouped()).data)

    @extend_schema(
        request=RedriveLetterSerializer,
        responses={
            200: DeadLetterDetailSerializer,
            409: OpenApiResponse(
                description=f"{NOT_OPEN} `workflow_deleted`: nothing of its workflow is sent any more. With `newest`: "
                "`node_gone`, a node that the run has reached is not there any more; `version_incompatible`, it is "
                "there, but not what or where it was."
            ),
        },
    )
    @action(detail=True, methods=["post"], filterset_class=None)
    def redrive(self, request: Request, pk: UUID) -> Response:
        """Redrive the trigger from the node that failed, on its own version or on the newest."""
        body = RedriveLetterSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            redrive_letter(pk, version=WhichVersion(body.validated_data["version"]), by=actor_of(request))
        except DeadLetter.DoesNotExist:
            raise NotFound from None
        except REFUSALS as refusal:
            _refuse(refusal)
        return self._answer(pk)

    @extend_schema(
        request=ReasonSerializer,
        responses={200: DeadLetterDetailSerializer, 409: OpenApiResponse(description=NOT_OPEN)},
    )
    @action(detail=True, methods=["post"], filterset_class=None)
    def discard(self, request: Request, pk: UUID) -> Response:
        """Close it with a reason, which is kept with who gave it; the trigger stays failed."""
        body = ReasonSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            discard_letter(pk, reason=body.validated_data["reason"], by=actor_of(request))
        except DeadLetter.DoesNotExist:
            raise NotFound from None
        except NotOpen as refusal:
            _refuse(refusal)
        return self._answer(pk)

    @extend_schema(
        operation_id="dead_letters_redrive_matching",
        request=RedriveLettersSerializer,
        responses=LettersRedrivenSerializer,
    )
    @action(detail=False, methods=["post"], url_path="redrive", url_name="redrive-matching", filterset_class=None)
    def redrive_matching(self, request: Request) -> Response:
        """Redrive open dead letters by filter, oldest trigger first, spread over time; with `dry_run` only count them.

        Call again while some remain, with `last_id` as `after_id`; a call that was interrupted can be repeated. A
        trigger that fails again meanwhile is not taken up twice.
        """
        body = RedriveLettersSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        count = redrivable(body.selection).count()
        if wanted["dry_run"]:
            done = Redriven(remaining=count)
        else:
            done = redrive_letters(
                body.selection,
                per_second=wanted["per_second"],
                limit=wanted["limit"],
                after_id=wanted.get("after_id"),
                version=WhichVersion(wanted["version"]),
                by=actor_of(request),
            )
        told = {**_told(done, count), "redriven": done.count, "spread_until": done.spread_until}
        return Response(LettersRedrivenSerializer(told).data)

    @extend_schema(
        operation_id="dead_letters_discard_matching",
        request=DiscardLettersSerializer,
        responses=LettersDiscardedSerializer,
    )
    @action(detail=False, methods=["post"], url_path="discard", url_name="discard-matching", filterset_class=None)
    def discard_matching(self, request: Request) -> Response:
        """Discard open dead letters by filter, with one reason; with `dry_run` only count them."""
        body = DiscardLettersSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        count = discardable(body.selection).count()
        if wanted["dry_run"]:
            done = Redriven(remaining=count)
        else:
            done = discard_letters(
                body.selection,
                reason=wanted["reason"],
                limit=wanted["limit"],
                after_id=wanted.get("after_id"),
                by=actor_of(request),
            )
        return Response(LettersDiscardedSerializer({**_told(done, count), "discarded": done.count}).data)

    def _answer(self, pk: UUID) -> Response:
        letter = self.get_queryset().filter(pk=pk).first()
        if letter is None:
            raise NotFound
        return Response(DeadLetterDetailSerializer(letter).data)


def _told(done: Redriven, count: int) -> dict[str, Any]:
    refused = [{"code": code, "count": number} for code, number in sorted(done.refused.items())]
    return {"count": count, "remaining": done.remaining, "last_id": done.last_id, "refused": refused}


def _refuse(refusal: Any) -> NoReturn:
    raise TriggerConflict(str(refusal), code=refusal.code) from None
