"""Which names a rendering reports as missing, and which it does not."""

from typing import Any

import pytest

from templates.rendering import RenderError, render

CONTEXT: dict[str, Any] = {"order": {"id": 17, "note": None}, "nothing": None, "items": [{"a": 1}], "key": "x"}


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("{{ order.id }}", ()),
        ("{{ a }}", ("a",)),
        ("{{ a.b.c }}", ("a.b.c",)),
        ("{{ order.total }}", ("order.total",)),
        ("{{ order.total.net }}", ("order.total.net",)),
        ("{{ b }}{{ a }}{{ b }}", ("b", "a")),
        ("{{ order['odd name'] }}", ("order.odd name",)),
        ("{{ order[key] }}", ("order.x",)),
        ("{{ order[lost] }}", ("lost",)),
        ("{{ items[3].a }}", ("items.3.a",)),
        ("{{ a | upcase }}", ("a",)),
        ("{{ 'x' | append: a }}", ("a",)),
        ("{{ 'x' | append: a | default: 'y' }}", ()),
        ("{% assign x = a %}{{ x }}{{ x.y }}", ("a",)),
        ("{% assign x = order %}{{ x.total }}", ("x.total",)),
        ("{% for i in a %}{% endfor %}", ("a",)),
        ("{% for i in items %}{{ i.a }}{{ i.b }}{% endfor %}", ("i.b",)),
        ("{% for i in (1..n) %}{% endfor %}", ("n",)),
        ("{% capture x %}{{ a }}{% endcapture %}", ("a",)),
        ("{% echo a %}{% cycle b %}", ("a", "b")),
        ("{{ a == 1 }}", ("a",)),
    ],
)
def test_what_is_printed_or_used_is_missing(source: str, missing: tuple[str, ...]) -> None:
    assert render(source, CONTEXT).missing_variables == missing


GUARDED = [
    "{{ nothing }}",
    "{{ nothing.name }}",
    "{{ order.note }}",
    "{{ order.note.text }}",
    "{% if a %}{% elsif b.c > 3 %}{% endif %}",
    "{% if a and b or c contains d %}{% endif %}",
    "{% if order[a] %}{% endif %}",
    "{% if a | size %}{% endif %}",
    "{% unless a %}{% elsif b %}{% endunless %}",
    "{% case a %}{% when b, c %}{% endcase %}",
    "{{ a | default: 'x' }}",
    "{{ a.b | strip | default: 'x' }}",
    "{{ a | append: b | default: 'x' }}",
    "{{ items | where_exp: 'i', 'i.z > 1' }}",
    "{{ items | map: 'z' }}",
    "{% increment counter %}{% decrement other %}",
]


@pytest.mark.parametrize("source", GUARDED)
def test_what_is_null_tested_or_defaulted_is_not(source: str) -> None:
    assert render(source, CONTEXT).missing_variables == ()
    assert render(source, CONTEXT, strict=True).missing_variables == ()


def test_the_default_itself_can_be_missing() -> None:
    assert render("{{ a | default: b }}", {}).missing_variables == ("b",)


def test_strict_rendering_fails_for_the_first_missing_name() -> None:
    with pytest.raises(RenderError) as caught:
        render("Hi\n{{ order.id }} {{ order.total }} {{ a }}", CONTEXT, strict=True)

    assert (caught.value.code, caught.value.line) == ("undefined_variable", 2)
    assert "order.total" in caught.value.message


def test_strict_rendering_of_a_complete_context_says_the_same() -> None:
    source = "{{ order.id }}{% if a %}x{% endif %}{{ b | default: 'y' }}"

    assert render(source, CONTEXT, strict=True) == render(source, CONTEXT)
