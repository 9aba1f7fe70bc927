"""Users and tokens as the API shows and takes them."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import Token

from accounts.models import User
from accounts.roles import Capability


class TokenSerializer(TokenObtainPairSerializer):
    """Takes a name and a password, gives a pair of tokens; the access token says role and permissions."""

    @classmethod
    def get_token(cls, user: Any) -> Token:
        """Return a refresh token; the access token made from it carries the same claims."""
        token = super().get_token(user)
        token["role"] = user.role
        token["permissions"] = sorted(user.capabilities)
        return token


class UserSerializer(serializers.ModelSerializer[User]):
    """A user; the password goes in and never comes out."""

    password = serializers.CharField(write_only=True, max_length=128, trim_whitespace=False)

    class Meta:
        model = User
        fields = ["id", "username", "email", "role", "is_active", "password", "date_joined", "last_login"]
        read_only_fields = ["date_joined", "last_login"]

    def validate_password(self, password: str) -> str:
        """Apply the password validators of the settings."""
        try:
            validate_password(password)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return password

    def create(self, validated_data: dict[str, Any]) -> User:
        """Make the user with a hashed password."""
        return User.objects.create_user(**validated_data)


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
