"""Filters for base64 and hashes."""

import base64
import hashlib
import hmac
import re
from typing import Final

from templates.dialect.filter_registry import liquid_filter
from templates.dialect.filters.strings import text_of
from templates.dialect.state import RenderState
from templates.dialect.unicode import well_formed
from templates.dialect.values import UNDEFINED
from templates.errors import RenderError

_SPACE: Final = re.compile(r"[\t\n\f\r ]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*")
_GROUP: Final = 4


@liquid_filter("base64_encode")
def base64_encode(state: RenderState, value: object) -> str:
    text = text_of(state, value)
    return base64.b64encode(_bytes(text)).decode()


@liquid_filter("base64_decode")
def base64_decode(state: RenderState, value: object) -> str:
    """Decode to text; bytes that are not UTF-8 become U+FFFD. Raises RenderError when it is not base64."""
    digits = _SPACE.sub("", text_of(state, value))
    if len(digits) % _GROUP == 0:
        digits = digits.removesuffix("=").removesuffix("=")
    if len(digits) % _GROUP == 1 or not _BASE64.fullmatch(digits):
        raise RenderError("base64_decode was given something that is not base64")
    return base64.b64decode(digits + "=" * (-len(digits) % _GROUP)).decode(errors="replace")


@liquid_filter("sha256")
def sha256(state: RenderState, value: object) -> str:
    return hashlib.sha256(_bytes(text_of(state, value))).hexdigest()


@liquid_filter("hmac_sha256")
def hmac_sha256(state: RenderState, value: object, key: object = UNDEFINED) -> str:
    text, secret = text_of(state, value), text_of(state, key)
    return hmac.new(_bytes(secret), _bytes(text), hashlib.sha256).hexdigest()


def _bytes(text: str) -> bytes:
    return well_formed(text).encode()
