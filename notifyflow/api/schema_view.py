"""The OpenAPI document over HTTP: the same for everybody, and so made once by each process."""

from functools import lru_cache
from threading import Lock
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

# drf-spectacular loads its extensions at their first use, and no two threads may do that at once.
_making = Lock()


class SchemaView(SpectacularAPIView):
    """The description of this API as OpenAPI 3, in YAML or JSON, as asked for by `Accept` or `?format=`."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the document; making it takes a quarter of a second, which anybody could have a process busy with."""
        media_type = str(request.accepted_renderer.media_type)
        with _making:
            document = _document(media_type)
        return HttpResponse(document, content_type=media_type)


@lru_cache(maxsize=8)
def _document(media_type: str) -> str | bytes:
    (renderer,) = (each for each in SchemaView.renderer_classes if each.media_type == media_type)
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # spectacular's own is not annotated
    document: str | bytes = renderer().render(schema, renderer_context={})
    return document
