"""Reads the inside of a quoted text: the escapes that JavaScript knows."""

import re
from typing import Final

_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{0,4}|[0-7]{1,3}|[\s\S]|\Z)")


def unquote(text: str) -> str:
    """Resolve backslash escapes in the text between the quotes."""
    return _ESCAPE.sub(_resolve, text) if "\\" in text else text


def _resolve(match: re.Match[str]) -> str:
    escape = match.group(1)
    if escape.startswith("u"):
        return chr(int(escape[1:] or "0", 16))
    if escape and escape[0] in "01234567":
        return chr(int(escape, 8))
    return _ESCAPES.get(escape, escape)
