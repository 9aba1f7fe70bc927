"""No template may hang a worker or fill its memory: each of these ends at once, with the right kind of error."""

from typing import Any

import pytest

from templates import limits
from templates.rendering import RenderError, TemplateSyntaxError, compile_template, render

LONG = "a" * 250_000
CONTEXT: dict[str, Any] = {
    "long": LONG,
    "other": LONG[:-1] + "b",
    "needle": "b" + "a" * 100_000,
    "accents": "é" * 250_000,
    "spaces": " " * 250_000,
    "openers": "<" * 250_000,
    "items": ["b", "a", "c"],
    "objects": [{"s": LONG[:-1] + "c"}, {"s": LONG[:-1] + "d"}],
    "order": {"id": 17},
}

GROWING = {
    "append": "{% assign x = 'ab' %}" + "{% assign x = x | append: x %}" * 60,
    "replace": "{% assign x = 'aaaaaaaaaa' %}" + "{% assign x = x | replace: 'a', x %}" * 10,
    "replace at once": "{{ long | replace: 'a', long }}",
    "replace between": "{% assign x = 'aaaaaaaaaa' %}" + "{% assign x = x | replace: '', x %}" * 10,
    "join": "{% assign x = 'ab' %}" + "{% assign x = x | split: '' | join: x %}" * 60,
    "join by a long text": "{{ (1..50000) | join: long }}",
    "concat": "{% assign x = (1..1000) %}" + "{% assign x = x | concat: x %}" * 60,
    "escape": "{% assign x = openers %}" + "{% assign x = x | escape %}" * 20,
    "capture": "{% capture x %}ab{% endcapture %}" + "{% capture x %}{{ x }}{{ x }}{% endcapture %}" * 60,
    "json of a list in itself": "{% assign x = 1 | push: 1 %}" + "{% assign x = x | push: x %}" * 80 + "{{ x | json }}",
    "print a list in itself": "{% assign x = 1 | push: 1 %}" + "{% assign x = x | push: x %}" * 80 + "{{ x }}",
    "compare lists in themselves": "{% assign x = 1 | push: 1 %}{% assign y = 1 | push: 1 %}"
    + "{% assign x = x | push: x %}{% assign y = y | push: y %}" * 80
    + "{% if x == y %}{% endif %}",
    "sort a list in itself": "{% assign x = 1 | push: 1 %}" + "{% assign x = x | push: x %}" * 80 + "{{ x | sort }}",
    "wide date": "{{ 0 | date: '%99999999d' }}",
    "wider date": "{{ 0 | date: '%" + "9" * 5_000 + "d' }}",
    "many wide dates": "{{ 0 | date: '" + "%100000d" * 2_000 + "' }}",
    "fine fraction": "{{ 0 | date: '%99999999N' }}",
    "line breaks": "{% capture n %}{% for i in (1..90000) %}\n{% endfor %}{% endcapture %}"
    "{% assign n = n | append: n | append: n %}{{ n | newline_to_br }}",
    "output": "{% for i in (1..100000) %}0123456789abcdef{% endfor %}",
    "table": "{% tablerow i in (1..100000) cols: 1 %}{% endtablerow %}",
    "many variables": "".join(f"{{% assign v{i} = 1 %}}" for i in range(2_000)),
    "cycles": "{% for i in (1..90000) %}{% cycle long: 1, 2 %}{% endfor %}",
}

LOOPING = {
    "huge range": "{% for i in (1..1000000000) %}x{% endfor %}",
    "infinite range": "{% assign e = 1 | divided_by: 0 %}{% for i in (1..e) %}x{% endfor %}",
    "printed range": "{{ (1..1000000000) }}",
    "nested loops": "{% for a in (1..1000) %}{% for b in (1..1000) %}{% endfor %}{% endfor %}",
    "nested tables": "{% tablerow a in (1..1000) %}{% for b in (1..1000) %}{% endfor %}{% endtablerow %}",
    "sort": "{% assign x = (1..50000) %}{% for i in (1..1000) %}{% assign y = x | sort %}{% endfor %}",
    "sort long texts": "{% assign x = long | push: other %}{% for i in (1..12) %}{% assign x = x | concat: x %}"
    "{% endfor %}{{ x | sort | size }}",
    "sort_natural": "{% assign x = long | push: other %}{% for i in (1..12) %}{% assign x = x | concat: x %}"
    "{% endfor %}{{ x | sort_natural | size }}",
    "uniq": "{% for i in (1..1000) %}{% assign x = (1..5000) | uniq %}{% endfor %}",
    "where": "{% assign x = (1..50000) %}{% for i in (1..1000) %}{% assign y = x | where: 'a' %}{% endfor %}",
    "where long texts": "{% assign x = objects %}{% for i in (1..12) %}{% assign x = x | concat: x %}{% endfor %}"
    "{{ x | where: 's', other | size }}",
    "group_by": "{% for i in (1..1000) %}{% assign x = (1..10000) | group_by: 'a' %}{% endfor %}",
    "expression of itself": "{% assign e = \"items | where_exp: 'x', e\" %}{{ items | where_exp: 'x', e }}",
    "upcase": "{% for i in (1..100000) %}{% assign x = long | upcase %}{% endfor %}",
    "slugify": "{% for i in (1..100000) %}{% assign x = long | slugify %}{% endfor %}",
    "split": "{% for i in (1..100000) %}{% assign x = long | split: '' %}{% endfor %}",
    "strip": "{% for i in (1..100000) %}{% assign x = long | strip: accents %}{% endfor %}",
    "strip_html": "{% for i in (1..100000) %}{% assign x = openers | strip_html %}{% endfor %}",
    "search backwards": "{% for i in (1..100000) %}{% assign x = long | replace_last: needle, '' %}{% endfor %}",
    "words": "{% for i in (1..100000) %}{% assign x = spaces | truncatewords: 3 %}{% endfor %}",
    "size": "{% for i in (1..100000) %}{{ accents | size }}{% endfor %}",
    "size as a property": "{% for i in (1..100000) %}{{ accents.size }}{% endfor %}",
    "index of a text": "{% for i in (1..100000) %}{{ accents[1] }}{% endfor %}",
    "equal": "{% for i in (1..100000) %}{% if long == other %}{% endif %}{% endfor %}",
    "less": "{% for i in (1..100000) %}{% if accents < long %}{% endif %}{% endfor %}",
    "blank": "{% for i in (1..100000) %}{% if spaces == blank %}{% endif %}{% endfor %}",
    "contains": "{% for i in (1..100000) %}{% if long contains 'b' %}{% endif %}{% endfor %}",
    "equal lists": "{% assign x = (1..50000) %}{% assign y = (1..50000) %}"
    "{% for i in (1..1000) %}{% case x %}{% when y %}{% endcase %}{% endfor %}",
    "many outputs": "{% for i in (1..50000) %}" + "{{ nothing }}" * 5_000 + "{% endfor %}",
    "many filters": "{% for i in (1..50000) %}{{ x " + "| upcase " * 5_000 + "}}{% endfor %}",
    "many arguments": "{% for i in (1..50000) %}{{ 1 | at_least: " + ",".join(["1"] * 5_000) + " }}{% endfor %}",
    "many operands": "{% for i in (1..50000) %}{% if " + " and ".join(["x"] * 5_000) + " %}{% endif %}{% endfor %}",
    "many branches": "{% for i in (1..50000) %}{% if x %}" + "{% elsif x %}" * 5_000 + "{% endif %}{% endfor %}",
    "long path": "{% for i in (1..50000) %}{{ order" + ".id" * 5_000 + " }}{% endfor %}",
}


@pytest.mark.parametrize("source", [pytest.param(s, id=name) for name, s in (GROWING | LOOPING).items()])
def test_too_much_is_a_limit_error(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        render(source, CONTEXT)

    assert caught.value.code == "template_limit_exceeded"
    assert caught.value.line is not None


NESTED = {
    "if": "{% if x %}" * 5_000 + "{% endif %}" * 5_000,
    "if, never closed": "{% if x %}" * 5_000,
    "for": "{% for x in y %}" * 5_000 + "{% endfor %}" * 5_000,
    "capture": "{% capture x %}" * 5_000 + "{% endcapture %}" * 5_000,
    "case": "{% case x %}{% when 1 %}" * 5_000 + "{% endcase %}" * 5_000,
    "liquid": "{% " + "liquid " * 10_000 + "%}",
    "brackets": "{{ " + "[" * 10_000 + " }}",
    "indexes": "{{ a" + "[a" * 10_000 + "]" * 10_000 + " }}",
    "parentheses": "{{ " + "(" * 10_000 + " }}",
    "ranges": "{% for i in " + "(1.." * 10_000 + " %}{% endfor %}",
}


@pytest.mark.parametrize("source", [pytest.param(s, id=name) for name, s in NESTED.items()])
def test_too_deep_is_a_syntax_error(source: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_template(source)


LONG_BUT_FLAT = {
    "path": ("{{ a" + ".b" * 10_000 + " }}", ""),
    "not": ("{{ " + "not " * 50_000 + "true }}", "true"),
    "and": ("{{ " + "true and " * 20_000 + "true }}", "true"),
    "filters": ("{{ 'a' " + "| upcase " * 10_000 + "}}", "A"),
    "spaces": ("{{" + " " * 250_000 + "}}", None),
    "quotes": ("{{ " + "'a' " * 50_000 + "}}", "a"),
    "open quote": ("{{ '" + "\\" * 250_000, None),
    "open outputs": ("{{ " * 80_000, None),
    "open tags": ("{% " * 80_000, None),
    "open raws": ("{% raw %}" * 20_000, None),
    "unfinished endraws": ("{% raw %}" + "{% endraw " * 20_000, None),
    "open comments": ("{% comment %}" * 20_000, None),
    "empty lines in a comment": ("{% # " + "\n" * 250_000 + "%}", ""),
    "digits": ("{{ " + "1" * 200_000 + " }}", "Infinity"),
    "points": ("{{ " + "1." * 100_000 + " }}", ""),
    "dashes": ("{{ " + "-" * 200_000 + " }}", ""),
    "pipes": ("{{ x " + "|" * 200_000 + " }}", None),
}


@pytest.mark.parametrize(("source", "text"), [pytest.param(*case, id=name) for name, case in LONG_BUT_FLAT.items()])
def test_length_alone_costs_no_more_than_its_length(source: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(TemplateSyntaxError):
            compile_template(source)
    else:
        assert render(source, {}).text == text


def test_the_source_has_a_limit() -> None:
    render("x" * limits.MAX_SOURCE_CHARS, {})

    with pytest.raises(TemplateSyntaxError):
        compile_template("x" * (limits.MAX_SOURCE_CHARS + 1))


def test_the_output_has_a_limit() -> None:
    context = {"text": "x" * (limits.MAX_OUTPUT_CHARS // 2)}

    assert len(render("{{ text }}{{ text }}", context).text) == limits.MAX_OUTPUT_CHARS
    with pytest.raises(RenderError):
        render("{{ text }}{{ text }}!", context)


def test_as_many_passes_as_allowed_are_allowed() -> None:
    source = "{% for i in (1..1000) %}{% for j in (1..99) %}{% endfor %}{% endfor %}done"

    assert render(source, {}).text == "done"


def test_one_pass_more_is_not() -> None:
    source = "{% for i in (1..1000) %}{% for j in (1..99) %}{% endfor %}{% endfor %}{% for i in (1..1) %}{% endfor %}"

    with pytest.raises(RenderError, match="loops run more than 100000 times"):
        render(source, {})


def test_blocks_as_deep_as_allowed_are_allowed() -> None:
    depth = 50
    source = "{% if t %}" * depth + "x" + "{% endif %}" * depth

    assert render(source, {"t": True}).text == "x"
    with pytest.raises(TemplateSyntaxError):
        compile_template("{% if t %}" + source + "{% endif %}")


def test_a_deep_context_is_refused_only_where_it_is_printed() -> None:
    deep: object = "x"
    for _ in range(900):
        deep = [deep]

    assert render("{{ deep.size }}", {"deep": deep}).text == "1"
    for source in ("{{ deep }}", "{{ deep | json }}", "{% if deep == deep %}{% endif %}"):
        with pytest.raises(RenderError) as caught:
            render(source, {"deep": deep})
        assert caught.value.code == "template_limit_exceeded"
        assert "nested more than 100 deep" in caught.value.message


def test_an_expression_given_as_text_does_not_use_itself() -> None:
    with pytest.raises(RenderError, match="uses itself too often"):
        render(LOOPING["expression of itself"], CONTEXT)


def test_numbers_stay_doubles() -> None:
    source = "{% assign x = 10 %}" + "{% assign x = x | times: x %}" * 60 + "{{ x }} {{ x | minus: x }}"

    assert render(source, {}).text == "Infinity NaN"


def test_a_huge_integer_is_harmless() -> None:
    source = "{{ n }} {{ n | plus: 1 }} {{ n | json }} {{ items[n] }}{% for i in items limit: n %}{{ i }}{% endfor %}"

    assert render(source, {"n": 10**5_000, "items": ["a"]}).text == "Infinity Infinity null a"


def test_missing_names_are_counted_and_cut() -> None:
    many = render("{% for i in (1..500) %}{{ a[i] }}{% endfor %}", {})
    long = render("{{ a[name] }}", {"name": "x" * 5_000})

    assert len(many.missing_variables) == limits.MAX_MISSING_NAMES
    assert [len(name) for name in long.missing_variables] == [limits.MAX_MISSING_NAME_CHARS]


def test_one_rendering_does_not_use_up_the_next() -> None:
    template = compile_template("{% for i in (1..60000) %}{% endfor %}ok")

    assert [template.render({}).text for _ in range(3)] == ["ok", "ok", "ok"]
