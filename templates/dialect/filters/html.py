"""Filters for HTML: escaping, and taking tags out."""

import re
from typing import Final

from templates.dialect.filter_registry import liquid_filter
from templates.dialect.filters.strings import text_of
from templates.dialect.state import RenderState

_LINE_END: Final = re.compile(r"\r?\n")
_ESCAPED: Final = re.compile(r"&(?:amp|lt|gt|#34|#39);")
_UNESCAPED: Final = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'"}
# What opens a stretch to take out, and what ends it; the first that fits and is closed wins.
_STRETCHES: Final = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"), ("<", ">"))


def escape_text(text: str) -> str:
    """Replace the five characters that mean something in HTML."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;")
    )


@liquid_filter("escape", "xml_escape")
def escape(state: RenderState, value: object) -> str:
    return escape_text(text_of(state, value))


@liquid_filter("escape_once")
def escape_once(state: RenderState, value: object) -> str:
    """Escape what is not escaped yet."""
    return escape_text(_ESCAPED.sub(lambda match: _UNESCAPED[match.group()], text_of(state, value)))


@liquid_filter("newline_to_br")
def newline_to_br(state: RenderState, value: object) -> str:
    text = text_of(state, value)
    state.charge_text(len(text) + text.count("\n") * len("<br />"))
    return _LINE_END.sub("<br />\n", text)


@liquid_filter("strip_html")
def strip_html(state: RenderState, value: object) -> str:
    """Take out tags, comments, scripts and styles. Not a defence against hostile HTML: escape for that."""
    text = text_of(state, value)
    state.charge(text.count("<"))
    closers = dict(_STRETCHES)
    kept: list[str] = []
    position = 0
    while True:
        start = text.find("<", position)
        end = -1 if start < 0 else _end_of_stretch(text, start, closers)
        if end < 0:
            return "".join(kept) + text[position:]
        kept.append(text[position:start])
        position = end


def _end_of_stretch(text: str, start: int, closers: dict[str, str]) -> int:
    """Return where the stretch opened at `start` ends, or -1.

    A closer that is not found is forgotten, so that the text is searched for it once and not once per opener.
    """
    for opener, closer in list(closers.items()):
        if not text.startswith(opener, start):
            continue
        end = text.find(closer, start + len(opener))
        if end >= 0:
            return end + len(closer)
        del closers[opener]
    return -1
