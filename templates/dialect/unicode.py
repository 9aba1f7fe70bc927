"""JavaScript's view of text: what counts as white space, and lengths and positions in UTF-16 units."""

import re
from typing import Final

# ECMAScript's WhiteSpace and LineTerminator: what trim() removes and \s matches there.
SPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)

# What LiquidJS skips between the parts of a tag, and strips beside a dash.
BLANKS: Final = SPACE.replace("\ufeff", "\u180e")
# What one character of a name may be, as a regular expression.
WORD: Final = rf"(?:[A-Za-z0-9_?\-]|[^\x00-\x7f{BLANKS}\u201c\u201d])"

_SURROGATE_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LAST_BASIC = "\uffff"


def utf16_length(text: str) -> int:
    """Return the length JavaScript sees: characters past U+FFFF count twice."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) >> 1


def utf16_units(text: str) -> list[str]:
    """Return the text cut into UTF-16 units; a character past U+FFFF becomes two lone surrogates."""
    if text.isascii() or max(text) <= _LAST_BASIC:
        return list(text)
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [chr(encoded[i] | encoded[i + 1] << 8) for i in range(0, len(encoded), 2)]


def utf16_unit(text: str, index: int) -> str | None:
    """Return the unit at that index, or None when it is out of range."""
    if text.isascii():
        return text[index] if 0 <= index < len(text) else None
    units = text.encode("utf-16-le", "surrogatepass")[2 * index : 2 * index + 2] if index >= 0 else b""
    return chr(units[0] | units[1] << 8) if units else None


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, so that the text can be encoded and sent."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def paired(text: str) -> str:
    """Join surrogate pairs, as they come together when a text cut into units is put together again."""
    if text.isascii() or not _SURROGATE_PAIR.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def sort_key(text: str) -> bytes:
    """Return what orders texts by UTF-16 units, as JavaScript's `<` does."""
    return text.encode("utf-16-be", "surrogatepass")
