"""Workflows over HTTP."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from drf_standardized_errors.formatter import flatten_errors
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.audit import actor_of
from accounts.roles import Capability
from workflows.etags import (
    ETAG,
    IF_MATCH,
    IF_NONE_MATCH,
    MALFORMED,
    NOT_MODIFIED,
    PRECONDITION_FAILED,
    PreconditionFailed,
    answer_to_get,
    etag_of,
    guard_of,
)
from workflows.faults import DefinitionInvalid
from workflows.filters import WorkflowFilter
from workflows.models import Workflow, WorkflowVersion
from workflows.priorities import Priority
from workflows.serializers import (
    ValidationResultSerializer,
    VersionSerializer,
    WorkflowBodySerializer,
    WorkflowSerializer,
    fault_details,
)
from workflows.services import (
    ActiveTriggersExist,
    ChangedMeanwhile,
    KeyTaken,
    WorkflowDraft,
    create_workflow,
    delete_workflow,
    set_active,
    update_workflow,
)


class ActiveTriggersConflict(APIException):
    """409: triggers of the workflow are under way."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "active_triggers_exist"


CHANGED = {200: WorkflowSerializer, 412: PRECONDITION_FAILED}
ID_OR_KEY = OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH, description="The workflow's id or key.")


@extend_schema(parameters=[ID_OR_KEY])
@extend_schema_view(
    list=extend_schema(parameters=[OpenApiParameter("id", exclude=True, location=OpenApiParameter.PATH)]),
    create=extend_schema(parameters=[OpenApiParameter("id", exclude=True, location=OpenApiParameter.PATH)]),
    validate=extend_schema(parameters=[OpenApiParameter("id", exclude=True, location=OpenApiParameter.PATH)]),
)
class WorkflowViewSet(viewsets.GenericViewSet[Workflow]):
    """Describe what should happen: create, change, activate and validate workflows."""

    capability = Capability.MANAGE_WORKFLOWS
    queryset = Workflow.objects.present()
    serializer_class = WorkflowSerializer
    filterset_class = WorkflowFilter
    lookup_url_kwarg = "id"
    # Anything but NUL, which PostgreSQL refuses even to look for.
    lookup_value_regex = r"[^/\x00]+"

    def get_object(self) -> Workflow:
        """Return the workflow with the id or key of the path. Raises Http404."""
        return get_object_or_404(Workflow.objects.present().named(self.kwargs["id"]))

    @extend_schema(responses=WorkflowSerializer(many=True))
    def list(self, request: Request) -> Response:
        """List workflows, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self._shown_many(page or []))

    @extend_schema(parameters=[ETAG], request=WorkflowBodySerializer, responses={201: WorkflowSerializer})
    def create(self, request: Request) -> Response:
        """Create an inactive workflow, version 1."""
        body = WorkflowBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            workflow = create_workflow(body.draft(), by=actor_of(request))
        except KeyTaken:
            raise ValidationError({"key": ["This key is taken."]}, code="key_taken") from None
        return self._answer(workflow, status_code=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[IF_MATCH, IF_NONE_MATCH, ETAG],
        responses={200: WorkflowSerializer, 304: NOT_MODIFIED, 400: MALFORMED, 412: PRECONDITION_FAILED},
    )
    def retrieve(self, request: Request, **_: str) -> Response:
        """Show a workflow with its current definition."""
        workflow = self.get_object()
        return answer_to_get(request, workflow, lambda: self._shown_many([workflow])[0])

    @extend_schema(parameters=[IF_MATCH, ETAG], request=WorkflowBodySerializer, responses=CHANGED)
    def update(self, request: Request, **_: str) -> Response:
        """Replace a workflow; a changed definition becomes the next version."""
        return self._change(request, is_partial=False)

    @extend_schema(parameters=[IF_MATCH, ETAG], request=WorkflowBodySerializer(partial=True), responses=CHANGED)
    def partial_update(self, request: Request, **_: str) -> Response:
        """Change what is given; a changed definition becomes the next version."""
        return self._change(request, is_partial=True)

    @extend_schema(
        parameters=[IF_MATCH],
        responses={
            204: None,
            400: MALFORMED,
            409: OpenApiResponse(description="`active_triggers_exist`: triggers of it are under way."),
            412: PRECONDITION_FAILED,
        },
    )
    def destroy(self, request: Request, **_: str) -> Response:
        """Delete a workflow that has no trigger under way; its triggers stay readable and its key stays taken."""
        try:
            delete_workflow(self.get_object().pk, only_if=guard_of(request), by=actor_of(request))
        except ChangedMeanwhile:
            raise PreconditionFailed from None
        except ActiveTriggersExist as error:
            raise ActiveTriggersConflict(str(error)) from None
        except Workflow.DoesNotExist:
            raise NotFound from None
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        parameters=[IF_MATCH, ETAG],
        request=None,
        responses={
            **CHANGED,
            400: OpenApiResponse(
                description="`malformed_tags`, or codes of `POST workflows/validate/`: it can't run any more."
            ),
        },
    )
    @action(detail=True, methods=["post"])
    def activate(self, request: Request, **_: str) -> Response:
        """Let the workflow take triggers."""
        return self._set_active(request, is_active=True)

    @extend_schema(parameters=[IF_MATCH, ETAG], request=None, responses={**CHANGED, 400: MALFORMED})
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, **_: str) -> Response:
        """Let the workflow take no new triggers; those under way go on."""
        return self._set_active(request, is_active=False)

    @extend_schema(request=WorkflowBodySerializer, responses=ValidationResultSerializer)
    @action(detail=False, methods=["post"])
    def validate(self, request: Request) -> Response:
        """Say what `POST workflows/` would refuse, without storing anything.

        So the body of a workflow that exists, with its own key, is told `key_taken`: leave the key out for a change.
        """
        body = WorkflowBodySerializer(data=request.data)
        if body.is_valid():
            return Response({"valid": True, "errors": []})
        errors = [{"code": e.code, "detail": e.detail, "attr": e.attr} for e in flatten_errors(body.errors)]
        return Response({"valid": False, "errors": errors})

    @extend_schema(responses=VersionSerializer(many=True))
    @action(detail=True, filterset_class=None)
    def versions(self, request: Request, **_: str) -> Response:
        """List the workflow's versions, newest first."""
        versions: Any = self.get_object().versions.all()
        page = self.paginate_queryset(self.filter_queryset(versions))
        return self.get_paginated_response(VersionSerializer(page, many=True).data)

    @extend_schema(
        operation_id="workflows_versions_read",
        parameters=[
            OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH),
            IF_MATCH,
            IF_NONE_MATCH,
            ETAG,
        ],
        responses={200: VersionSerializer, 304: NOT_MODIFIED, 400: MALFORMED, 412: PRECONDITION_FAILED},
    )
    @action(detail=True, url_path=r"versions/(?P<number>[0-9]{1,9})")
    def version(self, request: Request, number: str, **_: str) -> Response:
        """Show one version of the workflow."""
        version = get_object_or_404(self.get_object().versions.all(), number=int(number))
        return answer_to_get(request, version, lambda: VersionSerializer(version).data)

    def _change(self, request: Request, *, is_partial: bool) -> Response:
        def change(workflow: Workflow, definition: dict[str, Any]) -> WorkflowDraft:
            body = WorkflowBodySerializer(
                workflow, data=request.data, partial=is_partial, context={"definition": definition}
            )
            body.is_valid(raise_exception=True)
            before = WorkflowDraft(workflow.name, Priority(workflow.priority), definition, workflow.key)
            return body.draft(before=before)

        try:
            workflow = update_workflow(self.get_object().pk, change, only_if=guard_of(request), by=actor_of(request))
        except ChangedMeanwhile:
            raise PreconditionFailed from None
        except Workflow.DoesNotExist:
            raise NotFound from None
        return self._answer(workflow)

    def _set_active(self, request: Request, *, is_active: bool) -> Response:
        try:
            workflow = set_active(
                self.get_object().pk, is_active=is_active, only_if=guard_of(request), by=actor_of(request)
            )
        except ChangedMeanwhile:
            raise PreconditionFailed from None
        except Workflow.DoesNotExist:
            raise NotFound from None
        except DefinitionInvalid as error:
            raise ValidationError(fault_details(error.faults)) from None
        return self._answer(workflow)

    def _answer(self, workflow: Workflow, status_code: int = status.HTTP_200_OK) -> Response:
        return Response(self._shown_many([workflow])[0], status=status_code, headers={"ETag": etag_of(workflow)})

    def _shown_many(self, workflows: Iterable[Workflow]) -> Any:
        """Show workflows with their current definitions, which one query brings."""
        rows = list(workflows)
        # One pair each: all the workflows with all the numbers would be many old definitions.
        current = reduce(or_, (Q(workflow=workflow, number=workflow.version) for workflow in rows), Q(pk__in=[]))
        versions = WorkflowVersion.objects.filter(current)
        definitions: dict[UUID, Any] = {version.workflow_id: version.definition for version in versions}
        return WorkflowSerializer(rows, many=True, context={"definitions": definitions}).data
