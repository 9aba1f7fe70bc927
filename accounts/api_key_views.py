"""The API keys of a service account over HTTP."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api_key_serializers import ApiKeySerializer, NewApiKeySerializer
from accounts.api_keys import NotAService, create_key, revoke_key
from accounts.audit import actor_of
from accounts.models import ApiKey, User
from accounts.roles import Capability, Role


class NoServiceAccount(APIException):
    """409: a person was asked to have a key."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "not_a_service"
    default_detail = "Only a service account has API keys; this user signs in with a password."


class ApiKeyViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[ApiKey]):
    """Give a service account further keys and revoke them, so that keys can be changed without a pause."""

    capability = Capability.MANAGE_USERS
    queryset = ApiKey.objects.none()
    serializer_class = ApiKeySerializer
    filterset_class = None

    def get_queryset(self) -> QuerySet[ApiKey]:
        """Return the user's keys. Raises Http404 without such a user."""
        if getattr(self, "swagger_fake_view", False):
            return ApiKey.objects.none()
        return self._user().api_keys.all()

    @extend_schema(
        request=ApiKeySerializer,
        responses={
            201: NewApiKeySerializer,
            409: OpenApiResponse(description="`not_a_service`: only a service account has keys."),
        },
    )
    def create(self, request: Request, user_id: Any) -> Response:
        """Make a key; the answer alone tells it."""
        user = self._user()
        body = ApiKeySerializer(data=request.data, context={"role": Role(user.role)})
        body.is_valid(raise_exception=True)
        try:
            key, text = create_key(user, **body.validated_data, by=actor_of(request))
        except NotAService:
            raise NoServiceAccount from None
        return Response({**ApiKeySerializer(key).data, "key": text}, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, user_id: Any, pk: Any) -> Response:
        """Revoke a key; it stays in the list. Every process refuses it within seconds (USER_CACHE_SECONDS)."""
        key = get_object_or_404(self.get_queryset(), pk=pk)
        revoke_key(key.pk, by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _user(self) -> User:
        return get_object_or_404(User.objects.all(), pk=self.kwargs["user_id"])
