"""Reading JSON bodies, up to a size; what else is refused is in `accounts.strict_json`."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from accounts.strict_json import BodyTooLarge, text_of, value_of


class StrictJSONParser(BaseParser):
    """Parses RFC 8259 JSON in UTF-8, up to a size and a depth; numbers must be finite, text must be storable."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the body's value. Raises ParseError (400) and BodyTooLarge (413)."""
        limit = settings.API_BODY_LIMIT_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(limit)
        return value_of(text_of(body))
