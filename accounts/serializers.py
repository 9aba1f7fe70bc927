"""Sessions and users as the API shows and takes them; API keys are in `api_key_serializers`."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import get_error_detail
from rest_framework.validators import UniqueValidator

from accounts.api_fields import FlagField, NumberField, TextField, refuse_unknown_fields
from accounts.models import User
from accounts.models.user import HIGHEST_RATE
from accounts.roles import Capability


class SignInSerializer(serializers.Serializer[Any]):
    """Takes a name and a password, and a code from whoever has a second factor."""

    username = TextField(write_only=True, max_length=1000)
    # A password is stored with the spaces around it.
    password = TextField(write_only=True, max_length=1000, trim_whitespace=False)
    otp = TextField(
        write_only=True,
        required=False,
        allow_blank=True,
        max_length=20,
        help_text="Of a user with a second factor: the authenticator's code, or a recovery code.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is not a field."""
        refuse_unknown_fields(self)
        return attrs


class RefreshTokenSerializer(serializers.Serializer[Any]):
    """Takes a refresh token."""

    refresh = TextField(write_only=True, max_length=4096, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is not a field."""
        refuse_unknown_fields(self)
        return attrs


class TokenPairSerializer(serializers.Serializer[Any]):
    """A pair of tokens."""

    access = serializers.CharField(read_only=True, help_text="A JWT, good for 15 minutes.")
    refresh = serializers.CharField(read_only=True, help_text="Gets the next pair, once, within 7 days.")


class UsernameField(TextField):
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
    password = TextField(
        write_only=True, required=False, max_length=128, trim_whitespace=False, help_text="Of a person; required there."
    )
    is_active = FlagField(required=False, help_text="false: can't sign in, and every token and key is refused.")
    rate_limit = NumberField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=HIGHEST_RATE,
        help_text="Requests a minute; null: the role's.",
    )

    class Meta:
        model = User
        fields = [
            "id", "username", "email", "role", "is_active", "is_service", "rate_limit", "password", "date_joined",
            "last_login",
        ]  # fmt: skip
        read_only_fields = ["is_service", "date_joined", "last_login"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is not a field, and a password that the settings' validators refuse for this user."""
        refuse_unknown_fields(self)
        if self.instance is not None and self.instance.is_service and "password" in attrs:
            raise serializers.ValidationError({"password": ["A service account has no password."]}, "no_password")
        if "password" in attrs:
            about = {name: attrs.get(name, getattr(self.instance, name, "")) for name in ("username", "email")}
            try:
                validate_password(attrs["password"], User(**about))
            except DjangoValidationError as error:
                raise serializers.ValidationError({"password": get_error_detail(error)}) from None
        return attrs


class MeSerializer(serializers.ModelSerializer[User]):
    """The caller's own user."""

    permissions = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ["id", "username", "email", "role", "is_active", "is_service", "permissions"]

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=[c.value for c in Capability])))
    def get_permissions(self, user: User) -> list[str]:
        """Return what the role grants, or what the scopes of the API key leave of it, sorted."""
        return sorted(user.capabilities)
