"""Previews over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Capability
from templates.rendering import RenderError, TemplateSyntaxError, render
from templates.serializers import PreviewResultSerializer, PreviewSerializer


class PreviewView(APIView):
    """Try a template."""

    capability = Capability.MANAGE_WORKFLOWS

    @extend_schema(request=PreviewSerializer, responses=PreviewResultSerializer)
    def post(self, request: Request) -> Response:
        """Render a template with a context; nothing is stored or sent."""
        body = PreviewSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        try:
            rendered = render(values["source"], values.get("context", {}), strict=values["strict_variables"])
        except (TemplateSyntaxError, RenderError) as error:
            where = f"Line {error.line}: " if error.line is not None else ""
            code = error.code if isinstance(error, RenderError) else "liquid_syntax"
            raise ValidationError({"source": [where + error.message]}, code=code) from None
        return Response({"text": rendered.text, "missing_variables": list(rendered.missing_variables)})
