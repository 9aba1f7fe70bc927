"""What is rendered without the machinery reads as if it had been rendered with it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates import limits
from templates.rendering import Template, compile_template

NAMES = st.sampled_from(["a", "b", "size", "first", "last", "recipient", "steps"])
paths = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
pieces = st.one_of(paths.map(lambda path: "{{ " + path + " }}"), st.text(st.characters(exclude_characters="{}")))
sources = st.lists(pieces, max_size=6).map("".join)
texts = st.text(st.characters(), max_size=5) | st.sampled_from(["<b>", "&", '"', "\ud83d", "\ude00"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3))
contexts = st.dictionaries(NAMES, values, max_size=5)


@given(sources, contexts, st.booleans())
def test_both_ways_render_the_same(source: str, context: dict[str, Any], is_html: bool) -> None:
    template = compile_template(source, is_html=is_html)

    assert template.render(context) == template.render_in_full(context)


def renders_in_full(template: Template, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bool:
    called: list[bool] = []
    in_full = Template.render_in_full

    def spy(self: Template, names: Any, *, strict: bool = False) -> Any:
        called.append(True)
        return in_full(self, names, strict=strict)

    with monkeypatch.context() as patched:
        patched.setattr(Template, "render_in_full", spy)
        template.render(context)
    return bool(called)


@pytest.mark.parametrize(
    ("source", "context", "is_general"),
    [
        ("Hi {{ a.b }}, {{ n }} of {{ price }}", {"a": {"b": "Ann"}, "n": 3, "price": 99.9}, False),
        ("no names", {}, False),
        ("{{ a }}", {}, True),
        ("{{ a }}", {"a": None}, True),
        ("{{ a }}", {"a": True}, True),
        ("{{ a.size }}", {"a": [1]}, True),
        ("{{ a | upcase }}", {"a": "x"}, True),
        ("{% if a %}x{% endif %}", {"a": "x"}, True),
    ],
)
def test_only_what_is_plain_goes_the_short_way(
    source: str, context: dict[str, Any], is_general: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert renders_in_full(compile_template(source), context, monkeypatch) is is_general


def test_what_gets_too_long_is_refused_by_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_OUTPUT_CHARS", 5)
    template = compile_template("{{ a }}{{ a }}")

    assert template.render({"a": "xy"}).text == "xyxy"
    with pytest.raises(Exception, match="longer than 5"):
        template.render({"a": "xyz"})
