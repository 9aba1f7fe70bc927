"""Filters for addresses: percent-encoding and slugs."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from templates.dialect.filter_registry import liquid_filter
from templates.dialect.filters.strings import text_of
from templates.dialect.state import RenderState
from templates.dialect.unicode import SPACE
from templates.dialect.values import UNDEFINED, is_js_falsy
from templates.errors import RenderError

_COMPONENT_SAFE: Final = "-_.!~*'()"  # what encodeURIComponent leaves alone
_URI_SAFE: Final = _COMPONENT_SAFE + ";/?:@&=+$,#[]"
_CGI_SAFE: Final = "-_.~"
_BAD_PERCENT: Final = re.compile(r"%(?![0-9a-fA-F]{2})")

_SPACES: Final = re.compile(f"[{SPACE}]+")
_NOT_ASCII_WORD: Final = re.compile(r"[^A-Za-z0-9]+")
_DROPPED_RUN: Final = re.compile("\0+")
_PRETTY: Final = frozenset("._~!$&'()+,;=@")
_LATIN: Final = str.maketrans(
    {
        **dict.fromkeys("àáâãäå", "a"),
        **dict.fromkeys("èéêë", "e"),
        **dict.fromkeys("ìíîï", "i"),
        **dict.fromkeys("òóôõöø", "o"),
        **dict.fromkeys("ùúûü", "u"),
        **dict.fromkeys("ýÿ", "y"),
        "æ": "ae",
        "ç": "c",
        "ð": "d",
        "ñ": "n",
        "ß": "ss",
        "œ": "oe",
        "þ": "th",
        "ẞ": "SS",
        "Œ": "OE",
        "Þ": "TH",
    }
)


@liquid_filter("url_encode")
def url_encode(state: RenderState, value: object) -> str:
    return _percent(state, value, _COMPONENT_SAFE).replace("%20", "+")


@liquid_filter("cgi_escape")
def cgi_escape(state: RenderState, value: object) -> str:
    return _percent(state, value, _CGI_SAFE).replace("%20", "+")


@liquid_filter("uri_escape")
def uri_escape(state: RenderState, value: object) -> str:
    return _percent(state, value, _URI_SAFE)


def _percent(state: RenderState, value: object, safe: str) -> str:
    text = text_of(state, value)
    try:
        encoded = quote(text, safe=safe)
    except UnicodeEncodeError as error:
        raise RenderError("a text with half a character cannot be percent-encoded") from error
    state.charge_text(len(encoded))
    return encoded


@liquid_filter("url_decode")
def url_decode(state: RenderState, value: object) -> str:
    text = text_of(state, value).replace("+", " ")
    if _BAD_PERCENT.search(text):
        raise RenderError("url_decode met a '%' that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError as error:
        raise RenderError("url_decode met bytes that are not UTF-8") from error


@liquid_filter("slugify")
def slugify(state: RenderState, value: object, mode: object = "default", is_cased: object = UNDEFINED) -> str:
    """Make a text fit for an address; `mode` is default, raw, pretty, ascii, latin or none, as in Jekyll."""
    text = text_of(state, value)
    state.charge(len(text) >> 3)
    slug = _slug(text, mode if isinstance(mode, str) else "none")
    return slug.lower() if is_js_falsy(is_cased) else slug


def _slug(text: str, mode: str) -> str:
    if mode == "raw":
        dashed = _SPACES.sub("-", text)
    elif mode == "ascii":
        dashed = _NOT_ASCII_WORD.sub("-", text)
    elif mode in {"default", "latin", "pretty"}:
        kept = _PRETTY if mode == "pretty" else frozenset[str]()
        dashed = _dashed(text.translate(_LATIN) if mode == "latin" else text, kept)
    else:
        return text
    return dashed.removeprefix("-").removesuffix("-")


def _dashed(text: str, kept: frozenset[str]) -> str:
    """Put a dash for each run of characters that are neither letters, marks nor digits."""
    marked = (char if char in kept or _is_word(char) else "\0" for char in text)
    return _DROPPED_RUN.sub("-", "".join(marked))


def _is_word(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "LM" or category == "Nd"
