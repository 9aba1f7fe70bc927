"""Templates as other rooms use them: compiled once, rendered often, from many threads."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from templates.rendering import (
    Rendered,
    RenderError,
    TemplateError,
    TemplateSyntaxError,
    compile_template,
    render,
)


def test_a_text_without_tags_is_itself() -> None:
    assert compile_template("Hello, } world %}").render({}) == Rendered("Hello, } world %}", ())


def test_an_empty_template_says_nothing() -> None:
    assert render("", {}) == Rendered("", ())


def test_a_template_is_rendered_again_and_again() -> None:
    template = compile_template("Hi {{ name }}{% increment n %}{% cycle 1, 2 %}{% assign x = name %}")

    assert [template.render({"name": name}).text for name in ("Ann", "Bob")] == ["Hi Ann01", "Hi Bob01"]


def test_threads_share_a_template() -> None:
    template = compile_template(
        "{% assign who = name | upcase %}{% for i in (1..50) %}{% cycle 'a', 'b' %}{% endfor %}"
        "{% capture x %}{{ who }}{% endcapture %}{{ x }}{{ missing[name] }}"
    )

    def said(number: int) -> Rendered:
        return template.render({"name": f"n{number}"})

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(said, range(400)))

    assert results == [Rendered("ab" * 25 + f"N{n}", (f"missing.n{n}",)) for n in range(400)]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ }}", 1),
        ("a\nb {{ x", 2),
        ("a\n\n{% if x %}", 3),
        ("a\n{% nope %}", 2),
        ("{{ 1 }}\n{{ x | nope }}", 2),
        ("{% if x %}\n{% else %}\n{% elsif y %}{% endif %}", 3),
        ("{% liquid\n assign a = 1\n nope\n%}", 3),
        ("{% raw %}\n", 1),
    ],
)
def test_a_syntax_error_names_its_line(source: str, line: int) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        compile_template(source)

    assert caught.value.line == line
    assert str(caught.value) == f"{caught.value.message} (line {line})"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' | append }}",
        "{{ '%zz' | url_decode }}",
        "{{ '%ff' | url_decode }}",
        "{{ '!' | base64_decode }}",
        "{{ 0 | date }}",
        "{{ 0 | date: '%Y', 'Nowhere/Else' }}",
        "{{ items | where_exp: 'x', 'x |' | map: }}{{ items | where_exp: 'x', '' }}",
        "{{ false | default: 1, 2 }}",
        "{{ half | url_encode }}",
    ],
)
def test_what_cannot_be_rendered_is_an_error_with_a_line(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        render("\n" + source, {"items": [1], "half": "\ud800"})

    assert (caught.value.code, caught.value.line) == ("template_error", 2)


def test_all_errors_have_one_base() -> None:
    assert issubclass(TemplateSyntaxError, TemplateError)
    assert issubclass(RenderError, TemplateError)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**63, "9223372036854775808"),
        (2**70, "1.1805916207174113e+21"),
        (Decimal("12.50"), "12.5"),
        (datetime(2026, 3, 5, 14, 7, 9, tzinfo=UTC), "2026-03-05T14:07:09+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ((1, (2, None)), "12"),
        (MappingProxyType({"a": 1}), "[object Object]"),
        (float("nan"), "NaN"),
        (-0.0, "0"),
    ],
)
def test_values_that_json_does_not_have_print_too(value: object, text: str) -> None:
    assert render("{{ value }}", {"value": value}).text == text


def test_a_datetime_can_be_formatted() -> None:
    context = {"at": datetime(2026, 3, 5, 14, 7, 9, tzinfo=UTC)}

    assert render("{{ at | date: '%d.%m.%Y %H:%M' }}", context).text == "05.03.2026 14:07"


def test_any_mapping_is_a_context() -> None:
    context: Mapping[str, Any] = MappingProxyType({"order": MappingProxyType({"id": 17, "lines": (1, 2)})})

    assert render("{{ order.id }}{{ order.lines[1] }}{{ order.size }}", context).text == "1722"


def test_now_is_a_date() -> None:
    earlier = int(time.time())

    assert earlier <= int(render("{{ 'now' | date: '%s' }}", {}).text) <= earlier + 60


def test_a_sample_is_one_of_the_items() -> None:
    rendered = render("{{ items | sample }}{{ items | sample: 3 | sort | join: '' }}", {"items": ["a", "b", "c"]})

    assert rendered.text[0] in "abc"
    assert rendered.text[1:] == "abc"
