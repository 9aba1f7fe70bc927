"""How answers are documented: the error form of drf-standardized-errors, also for what a view only describes."""

from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.utils import OpenApiResponse
from drf_standardized_errors import openapi
from rest_framework import serializers


class ApiErrorSerializer(serializers.Serializer[Any]):
    """One error."""

    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True)


class ApiErrorsSerializer(serializers.Serializer[Any]):
    """The error form, with codes of the view's own."""

    type = serializers.CharField()
    errors = ApiErrorSerializer(many=True)  # type: ignore[assignment]  # DRF takes fields out of the class body, so this hides no attribute


class AutoSchema(openapi.AutoSchema):
    """A view says `409: OpenApiResponse(description=...)`; the form of the body is the same for all of them."""

    def _get_response_for_code(self, serializer: Any, status_code: str, *args: Any, **kwargs: Any) -> Any:
        if isinstance(serializer, OpenApiResponse) and serializer.response is None and status_code.startswith("4"):
            serializer = OpenApiResponse(ApiErrorsSerializer, serializer.description)
        return super()._get_response_for_code(serializer, status_code, *args, **kwargs)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated


class TokenScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]  # spectacular registers subclasses by an untyped hook
    """Our authentication is documented as simplejwt's: a bearer token."""

    target_class = "accounts.authentication.TokenAuthentication"
    name = "jwtAuth"
