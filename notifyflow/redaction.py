"""Secrets never reach the log: they are masked in whatever is about to be written, tracebacks included.

What is recognised: values under telling names, tokens and API keys by their shape, Authorization headers, passwords in
addresses such as `amqp://user:password@host`, digests of passwords, and the installation's own keys by their value.
A password in the middle of a sentence has no shape; code must not log one.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

MASK = "[hidden]"
SHORTEST_OWN = 16
DEEPEST = 8
LONGEST = 30_000
# Written by this project or checked by it; masking is for what others write.
OURS = frozenset({"timestamp", "level", "logger", "request_id"})

# `key` alone is one; `idempotency_key`, `cache_key` or a workflow's key name things and hide nothing.
_NAMES = (
    r"pass(?:word|wd|phrase)?\d?|pwd|secret|token|access|refresh|authorization|cookie|credentials?|signature|digest"
    r"|(?:api|auth|signing|secret|private|encryption)[_-]?key"
)
_ROOTS = (
    "pass",
    "pwd",
    "secret",
    "token",
    "access",
    "refresh",
    "auth",
    "cookie",
    "credential",
    "signature",
    "digest",
    "key",
)
_SECRET_NAME = re.compile(rf"(?:.*[_-])?(?:{_NAMES})|key", re.IGNORECASE)

# Each with words of which one must be there (in small letters) before the shape is looked for: most lines have none.
# Whoever sends a request decides what stands in its path, so that no shape may take more than linear time.
_SHAPES: list[tuple[tuple[str, ...], re.Pattern[str], str]] = [
    # scheme://user:password@host: up to the last @ before the path.
    (
        ("://",),
        re.compile(r"([a-z0-9+.-]://[^\s:/@?#'\"]{0,200}:)[^\s/?#'\"]{1,500}@", re.IGNORECASE),
        rf"\1{MASK}@",
    ),
    (("eyj",), re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), MASK),
    (("nf_",), re.compile(r"\bnf_[\w-]{8,}"), MASK),
    # What Django stores of passwords, which PostgreSQL shows with a row that it refuses.
    (("$",), re.compile(r"\b(?:argon2|pbkdf2_\w{1,20}|bcrypt\w{0,20}|scrypt|md5)\$[\w$=,.+/-]+"), MASK),
    # name=value, name: value, 'name': 'value', "name": "value", also with the quotes escaped.
    (
        _ROOTS,
        re.compile(
            rf"((?:\b|_)(?:{_NAMES})\\?['\"]?\s{{0,9}}[:=]\s{{0,9}})"
            r"(?:\\\"(?:(?!\\\").)*+(?:\\\")?|\"(?:[^\"\\]|\\.)*+\"?|'(?:[^'\\]|\\.)*+'?"
            r"|(?:(?:bearer|basic|digest)\s{1,9})?(?:\[hidden\]|[^\s,;&)}\]'\"]+))",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Not "basic example": what follows must look like no word.
    (
        ("bearer ", "basic ", "digest "),
        re.compile(r"\b([Bb]earer|[Bb]asic|[Dd]igest)\s{1,9}(?=[\w~+/.-]{0,500}[A-Z0-9=_])[\w.~+/=-]{6,}"),
        rf"\1 {MASK}",
    ),
]


class Redaction:
    """A structlog processor that masks secrets; `own` are the installation's, known by value."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._own = sorted({value for value in own if len(value) >= SHORTEST_OWN}, key=len, reverse=True)

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the event without secrets."""
        for key, value in event.items():
            if key not in OURS:
                event[key] = self._masked(key, value, 0)
        return event

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for own in self._own:
            text = text.replace(own, MASK)
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}... ({len(text) - LONGEST} more)"
        small = text.lower()
        for words, shape, mask in _SHAPES:
            if any(word in small for word in words):
                text = shape.sub(mask, text)
        return text

    def _masked(self, key: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if _SECRET_NAME.fullmatch(key) or depth > DEEPEST:
            return MASK
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._masked(str(name), item, depth + 1) for name, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._masked("", item, depth + 1) for item in value]
        if isinstance(value, (int, float)):
            return value
        # Of other things the renderer would write the repr, which may hold anything.
        return self.text(value if isinstance(value, str) else repr(value))
