"""Sessions and users over HTTP."""

from typing import Any, cast

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework_simplejwt.views import TokenBlacklistView, TokenObtainPairView, TokenRefreshView

from accounts.models import User
from accounts.permissions import IsSignedIn
from accounts.roles import Capability
from accounts.serializers import MeSerializer, RefreshSerializer, UserSerializer
from accounts.services import LastSystemAdmin, UsernameTaken, change_user
from accounts.throttling import TokenThrottle


class WouldLeaveNoAdmin(APIException):
    """409: the change would leave nobody who manages users."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "last_system_admin"
    default_detail = "This is the last active systemAdmin; make another one first."


class NameTaken(ValidationError):
    """400: two requests raced for one name."""

    def __init__(self) -> None:
        super().__init__({"username": ["A user with that username already exists."]}, code="unique")


class TokenView(TokenObtainPairView):
    """Give a pair of tokens for a name and a password."""

    throttle_classes = [TokenThrottle]
    throttle_scope = "token"


class RefreshView(TokenRefreshView):
    """Give a new pair for a refresh token, which ends with it."""

    serializer_class = RefreshSerializer


class RevokeView(TokenBlacklistView):
    """End a refresh token."""

    @extend_schema(responses={204: None})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End the refresh token given."""
        super().post(request, *args, **kwargs)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(RetrieveAPIView[User]):
    """Show the caller's own user, role and permissions."""

    permission_classes = [IsSignedIn]
    serializer_class = MeSerializer

    def get_object(self) -> User:
        """Return the caller."""
        return cast("User", self.request.user)


@extend_schema_view(
    partial_update=extend_schema(
        responses={
            200: UserSerializer,
            409: OpenApiResponse(description="`last_system_admin`: nobody could manage users any more."),
        }
    )
)
class UserViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    viewsets.GenericViewSet[User],
):
    """Manage users. There is no delete: a user who did something stays known; deactivate instead."""

    capability = Capability.MANAGE_USERS
    queryset = User.objects.all()
    serializer_class = UserSerializer
    http_method_names = ["get", "post", "patch", "head", "options"]

    def perform_create(self, serializer: BaseSerializer[User]) -> None:
        """Make the user through the service."""
        try:
            serializer.save()
        except UsernameTaken:
            raise NameTaken from None

    def perform_update(self, serializer: BaseSerializer[User]) -> None:
        """Change the user through the service that guards the last admin."""
        changes = dict(serializer.validated_data)
        password = changes.pop("password", None)
        user = cast("User", serializer.instance)
        try:
            serializer.instance = change_user(user.pk, changes, password=password)
        except LastSystemAdmin:
            raise WouldLeaveNoAdmin from None
        except UsernameTaken:
            raise NameTaken from None
