"""What text may leave, and how a provider's words are quoted; pure."""

import unicodedata
from collections.abc import Iterable, Mapping

from channels.contract import PermanentSendError

_LINE_ENDERS = {"Cc", "Zl", "Zp"}
# Shorter values would blank out ordinary words.
_SHORTEST_SECRET = 4


def require_sendable(fields: Mapping[str, str], *, provider: str) -> None:
    """Refuse text that no provider can carry.

    Raises PermanentSendError (`invalid_text`) when a field has a NUL byte or half of a surrogate pair.
    """
    for name, text in fields.items():
        if "\x00" in text:
            raise PermanentSendError(provider=provider, code="invalid_text", message=f"the field {name} has a NUL byte")
        if not text.isascii() and not _is_encodable(text):
            raise PermanentSendError(
                provider=provider,
                code="invalid_text",
                message=f"the field {name} has half of a surrogate pair, which is no character",
            )


def may_break_line(text: str) -> bool:
    """Tell whether a mail program could read a line end or a control character in a header of this text."""
    if text.isprintable():
        return False
    return any(unicodedata.category(character) in _LINE_ENDERS and character != "\t" for character in text)


def quote(text: object, *, secrets: Iterable[str] = (), limit: int = 300) -> str:
    """Put a provider's answer on one line of at most `limit` characters, with every secret blanked out."""
    line = " ".join(str(text).split())
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            line = line.replace(secret, "***")
    return line if len(line) <= limit else line[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
