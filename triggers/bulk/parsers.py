"""The two forms that many triggers come in: handed on as text and as a stream, for `body` and `lines` to read."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser

from accounts.strict_json import BodyTooLarge, text_of


class BulkJSONParser(BaseParser):
    """One JSON body, up to a limit of its own."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body's text. Raises ParseError (400) and BodyTooLarge (413)."""
        limit = settings.API_BULK_LIMIT_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(limit)
        return text_of(body)


class NdjsonParser(BaseParser):
    """JSON line by line (github.com/ndjson/ndjson-spec)."""

    media_type = "application/x-ndjson"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the stream, of which nothing is read yet."""
        return stream
