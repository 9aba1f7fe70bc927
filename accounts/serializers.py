"""Users and tokens as the API shows and takes them."""

from typing import Any, cast

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import get_error_detail
from rest_framework.validators import UniqueValidator
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.tokens import Token

from accounts.api_fields import refuse_unknown_fields
from accounts.models import User
from accounts.roles import Capability
from accounts.services import create_user


class TokenSerializer(TokenObtainPairSerializer):
    """Takes a name and a password, gives a pair of tokens; the access token says role and permissions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A password is stored with the spaces around it, which simplejwt's field would take away.
        cast("serializers.CharField", self.fields["password"]).trim_whitespace = False

    @classmethod
    def get_token(cls, user: Any) -> Token:
        """Return a refresh token; the access token made from it carries the same claims."""
        token = super().get_token(user)
        token["role"] = user.role
        token["permissions"] = sorted(user.capabilities)
        return token


class RefreshSerializer(TokenRefreshSerializer):
    """Takes a refresh token, gives a new pair that says what the user's role grants now; the old token ends."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """Return the pair. Raises TokenError for a bad, ended or ownerless token, and for all but one of twins."""
        old = self.token_class(attrs["refresh"])
        user = User.objects.filter(pk=old["user_id"], is_active=True).first()
        if user is None:
            raise TokenError("Token belongs to no active user")
        blacklisted: Any = old.blacklist()
        if not blacklisted[1]:
            raise TokenError("Token is blacklisted")
        new: Any = TokenSerializer.get_token(user)
        return {"access": str(new.access_token), "refresh": str(new)}


class UsernameField(serializers.CharField):
    """A name in the one form of Unicode that names are stored and compared in."""

    def to_internal_value(self, data: Any) -> str:
        """Return the name in NFKC. Raises ValidationError for what is not text."""
        return User.normalize_username(super().to_internal_value(data))


class UserSerializer(serializers.ModelSerializer[User]):
    """A user; the password goes in and never comes out."""

    username = UsernameField(
        max_length=150,
        validators=[
            UnicodeUsernameValidator(),
            UniqueValidator(User.objects.all(), message="A user with that username already exists."),
        ],
    )
    password = serializers.CharField(write_only=True, max_length=128, trim_whitespace=False)

    class Meta:
        model = User
        fields = ["id", "username", "email", "role", "is_active", "password", "date_joined", "last_login"]
        read_only_fields = ["date_joined", "last_login"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is not a field, and a password that the settings' validators refuse for this user."""
        refuse_unknown_fields(self)
        if "password" in attrs:
            about = {name: attrs.get(name, getattr(self.instance, name, "")) for name in ("username", "email")}
            try:
                validate_password(attrs["password"], User(**about))
            except DjangoValidationError as error:
                raise serializers.ValidationError({"password": get_error_detail(error)}) from None
        return attrs

    def create(self, validated_data: dict[str, Any]) -> User:
        """Make the user. Raises UsernameTaken."""
        return create_user(**validated_data)


class MeSerializer(serializers.ModelSerializer[User]):
    """The caller's own user."""

    permissions = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "username", "email", "role", "is_active", "permissions"]

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[c.value for c in Capability])))
    def get_permissions(self, user: User) -> list[str]:
        """Return what the role grants, sorted."""
        return sorted(user.capabilities)
