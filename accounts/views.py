"""Sessions and users over HTTP; API keys are in `api_key_views`."""

from dataclasses import asdict, replace
from typing import Any, cast

from django.db import transaction
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError
from rest_framework_simplejwt.views import TokenViewBase

from accounts.api_key_serializers import CreatedUserSerializer, NewUserSerializer
from accounts.api_keys import create_key
from accounts.audit import Actor, actor_of
from accounts.models import User
from accounts.permissions import IsSignedIn
from accounts.roles import Capability
from accounts.serializers import (
    MeSerializer,
    RefreshTokenSerializer,
    SignInSerializer,
    TokenPairSerializer,
    UserSerializer,
)
from accounts.services import LastSystemAdmin, OwnRoleRaised, UsernameTaken, change_user, create_user
from accounts.sessions import begin_session, end_session, refresh_session
from accounts.sign_in import sign_in
from accounts.throttling import TokenThrottle
from accounts.user_filters import UserFilter


class WouldLeaveNoAdmin(APIException):
    """409: the change would leave nobody who manages users."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "last_system_admin"
    default_detail = "This is the last active systemAdmin; make another one first."


class OwnRole(APIException):
    """403: somebody would give themselves what they don't have."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "own_role"
    default_detail = "Nobody raises their own role; ask another systemAdmin."


class NameTaken(ValidationError):
    """400: two requests raced for one name."""

    def __init__(self) -> None:
        super().__init__({"username": ["A user with that username already exists."]}, code="unique")


class TokenView(TokenViewBase):
    """Give a pair of tokens for a name and a password."""

    serializer_class = SignInSerializer
    throttle_classes = [TokenThrottle]
    throttle_scope = "token"

    @extend_schema(
        responses={
            200: TokenPairSerializer,
            401: OpenApiResponse(
                description="`no_active_account`: no such user, not the password, or an inactive user;"
                " `second_factor_required`; `second_factor_wrong`."
            ),
            429: OpenApiResponse(description="`throttled`, or `locked_out` after too many failures."),
        }
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Sign in: a pair of tokens for a name and a password."""
        body: Any = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        user = sign_in(request, **body.validated_data)
        return Response(asdict(begin_session(user, by=_as(user, request))))


ENDED = OpenApiResponse(description="`token_not_valid`: no refresh token of this service, expired, or ended.")


class RefreshTokenView(TokenViewBase):
    """What the calls that take a refresh token have in common."""

    serializer_class = RefreshTokenSerializer

    def refresh_token(self, request: Request) -> str:
        """Return the token of the body. Raises ValidationError."""
        body = self.get_serializer(data=request.data)
        body.is_valid(raise_exception=True)
        return cast("str", body.validated_data["refresh"])


class RefreshView(RefreshTokenView):
    """Give a new pair for a refresh token, which ends with it."""

    @extend_schema(responses={200: TokenPairSerializer, 401: ENDED})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give the next pair. A refresh token that was used before ends its whole session: sign in again."""
        try:
            return Response(asdict(refresh_session(self.refresh_token(request), by=actor_of(request))))
        except TokenError as error:
            raise InvalidToken(error.args[0]) from None


class RevokeView(RefreshTokenView):
    """End a session."""

    @extend_schema(responses={204: None, 401: ENDED})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """End the session of the refresh token; access tokens given before run out within 15 minutes."""
        try:
            end_session(self.refresh_token(request), by=actor_of(request))
        except TokenError as error:
            raise InvalidToken(error.args[0]) from None
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
            403: OpenApiResponse(description="`permission_denied`, or `own_role`: nobody raises their own role."),
            409: OpenApiResponse(description="`last_system_admin`: nobody could manage users any more."),
        }
    )
)
class UserViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.UpdateModelMixin,
    viewsets.GenericViewSet[User],
):
    """Manage users. There is no delete: a user who did something stays known; deactivate instead."""

    capability = Capability.MANAGE_USERS
    queryset = User.objects.all()
    serializer_class = UserSerializer
    filterset_class = UserFilter
    http_method_names = ["get", "post", "patch", "head", "options"]

    @extend_schema(request=NewUserSerializer, responses={201: CreatedUserSerializer})
    def create(self, request: Request) -> Response:
        """Make a person with a password, or a service account (`is_service`), whose API key this answer alone tells."""
        body = NewUserSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        key_wishes = {name: values.pop(name, None) for name in ("scopes", "expires_at")}
        by = actor_of(request)
        try:
            with transaction.atomic():
                user = create_user(password=values.pop("password", None), by=by, **values)
                key = create_key(user, **key_wishes, by=by)[1] if user.is_service else None
        except UsernameTaken:
            raise NameTaken from None
        shown = {**UserSerializer(user).data, **({} if key is None else {"api_key": key})}
        return Response(shown, status=status.HTTP_201_CREATED)

    def perform_update(self, serializer: BaseSerializer[User]) -> None:
        """Change the user through the service that guards the last admin."""
        changes = dict(serializer.validated_data)
        password = changes.pop("password", None)
        user = cast("User", serializer.instance)
        try:
            serializer.instance = change_user(user.pk, changes, password=password, by=actor_of(self.request))
        except LastSystemAdmin:
            raise WouldLeaveNoAdmin from None
        except OwnRoleRaised:
            raise OwnRole from None
        except UsernameTaken:
            raise NameTaken from None


def _as(user: User, request: Request) -> Actor:
    """Return the actor of a sign-in: whoever has just proved to be this user."""
    return replace(actor_of(request), user_id=user.pk, name=user.username, role=user.role)
