"""Service accounts and their API keys as the API shows and takes them."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.api_fields import FlagField, TextField, refuse_unknown_fields
from accounts.api_keys import grantable_scopes
from accounts.api_moments import MomentField
from accounts.models import ApiKey
from accounts.roles import Capability, Role
from accounts.serializers import UserSerializer


class ScopesField(serializers.ListField):
    """Capabilities; whether the role grants them is told by the serializer that knows the role."""

    child = serializers.ChoiceField(choices=[capability.value for capability in Capability])


def in_the_future(moment: datetime | None) -> None:
    """Raise ValidationError for a moment that has passed."""
    if moment is not None and moment <= timezone.now():
        raise serializers.ValidationError("This moment has passed.", "in_the_past")


def check_scopes(scopes: list[str] | None, role: Role) -> None:
    """Raise ValidationError with the place of each scope that a key of the role can't have."""
    allowed = grantable_scopes(role)
    faults = {
        str(place): [f"A key of the role {role} can't have this scope."]
        for place, scope in enumerate(scopes or [])
        if scope not in allowed
    }
    if faults:
        raise serializers.ValidationError({"scopes": faults}, "scope_not_granted")


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """An API key, without what it takes to use it."""

    name = TextField(max_length=100, required=False, allow_blank=True, help_text="What tells it from the others.")
    scopes = ScopesField(
        required=False, allow_null=True, allow_empty=False, help_text="null: everything that the role grants."
    )
    expires_at = MomentField(required=False, allow_null=True, validators=[in_the_future], help_text="null: never.")

    class Meta:
        model = ApiKey
        fields = ["id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
        read_only_fields = ["prefix", "created_at", "last_used_at", "revoked_at"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is not a field, and scopes that the role doesn't grant."""
        refuse_unknown_fields(self)
        check_scopes(attrs.get("scopes"), self.context["role"])
        return attrs


class NewApiKeySerializer(ApiKeySerializer):
    """An API key in the one answer that tells it."""

    key = serializers.CharField(read_only=True, help_text="The key itself; it is shown this once.")

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]


class NewUserSerializer(UserSerializer):
    """What makes a person, with a password, or a service account, with a first API key and none."""

    is_service = FlagField(required=False, default=False, help_text="Make a service account.")
    scopes = ScopesField(
        write_only=True,
        required=False,
        allow_null=True,
        allow_empty=False,
        help_text="Of a service account's first key.",
    )
    expires_at = MomentField(
        write_only=True, required=False, allow_null=True, validators=[in_the_future],
        help_text="Of a service account's first key; null: never.",
    )  # fmt: skip

    class Meta(UserSerializer.Meta):
        fields = [*UserSerializer.Meta.fields, "scopes", "expires_at"]
        read_only_fields = ["date_joined", "last_login"]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what people don't have in a person and what machines don't have in a service account."""
        attrs = super().validate(attrs)
        if attrs["is_service"]:
            if "password" in attrs:
                raise serializers.ValidationError({"password": ["A service account has no password."]}, "no_password")
            check_scopes(attrs.get("scopes"), Role(attrs["role"]))
            return attrs
        if "password" not in attrs:
            raise serializers.ValidationError({"password": ["This field is required."]}, "required")
        given = {name: ["Only a service account has keys."] for name in ("scopes", "expires_at") if attrs.get(name)}
        if given:
            raise serializers.ValidationError(given, "not_a_service")
        return attrs


class CreatedUserSerializer(UserSerializer):
    """A new user; a service account comes with its first API key, a person without `api_key`."""

    api_key = serializers.CharField(
        required=False, read_only=True, help_text="Of a service account: its first API key, shown this once."
    )

    # What an answer may leave out, for the documentation.
    SOMETIMES = frozenset({"api_key"})

    class Meta(UserSerializer.Meta):
        fields = [*UserSerializer.Meta.fields, "api_key"]
