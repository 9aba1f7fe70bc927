"""Whatever an author types, the answer is a text or a TemplateError."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates.dialect.filters import FILTERS
from templates.rendering import TemplateError, compile_condition, compile_template

WORDS = [
    *["{{", "}}", "{%", "%}", "{%-", "-%}", "{{-", "-}}", " ", "\n", "|", ":", ",", ".", "..", "(", ")", "[", "]"],
    *["'", '"', "'a'", "\\", "\0", "#", "=", "==", "!=", "<", ">", "<=", "<>", "contains", "and", "or", "not"],
    *[
        "if",
        "elsif",
        "else",
        "endif",
        "unless",
        "endunless",
        "case",
        "when",
        "endcase",
        "for",
        "endfor",
        "in",
        "(1..3)",
    ],
    *["limit:", "offset:", "continue", "reversed", "break", "tablerow", "endtablerow", "cols:", "cycle", "liquid"],
    *["assign", "capture", "endcapture", "increment", "decrement", "echo", "raw", "endraw", "comment", "endcomment"],
    *["x", "items", "order", "order.id", "items[0]", "text", "deep", "forloop.index", "nil", "true", "blank", "empty"],
    *["1", "-1", "1.5", "0", "é", "👍", "\ud800", "%Y-%m-%d", *sorted(FILTERS)],
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2026-03-05T14:07:09Z", "March 5, 2026", "12", "%41", "aGk="]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "a", "size"]), inner, max_size=3)
    ),
    max_leaves=6,
)
CONTEXTS = st.fixed_dictionaries({"x": VALUES, "items": VALUES, "order": VALUES, "text": st.text(max_size=8)})


def say(source: str, context: dict[str, Any], *, strict: bool = False) -> None:
    try:
        text = compile_template(source, is_html=strict).render(context, strict=strict).text
    except TemplateError:
        return
    text.encode()


@settings(max_examples=400, deadline=None)
@given(source=st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=25).map("".join), strict=st.booleans())
def test_any_text_is_rendered_or_refused(source: str, *, strict: bool) -> None:
    say(source, {"x": 1, "items": [1, "b", None], "order": {"id": 17}, "text": "abc"}, strict=strict)


ARGUMENTS = st.sampled_from(
    ["x", "items", "order", "text", "'a'", "''", "1", "-1", "2.5", "nil", "empty", "(1..3)", "'id'"]
)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", sorted(FILTERS))
@given(context=CONTEXTS, value=ARGUMENTS, arguments=st.lists(ARGUMENTS, max_size=3))
def test_any_filter_takes_any_value(name: str, context: dict[str, Any], value: str, arguments: list[str]) -> None:
    call = f"{name}: {', '.join(arguments)}" if arguments else name

    say(f"{{{{ {value} | {call} }}}}", context)
    say(f"{{{{ {value} | {call} | json }}}}{{{{ {value} | {call} | sort | join: '-' }}}}", context)


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=12), context=CONTEXTS)
def test_any_condition_is_answered_or_refused(words: list[str], context: dict[str, Any]) -> None:
    try:
        answer = compile_condition(" ".join(words)).is_true(context)
    except TemplateError:
        return
    assert answer in {True, False}
