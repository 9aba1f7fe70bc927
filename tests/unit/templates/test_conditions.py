"""Conditions: what could stand in `{% if ... %}`."""

from typing import Any

import pytest

from templates.rendering import RenderError, TemplateSyntaxError, compile_condition

CONTEXT: dict[str, Any] = {
    "order": {"total": 99.9, "status": "paid", "tags": ["a", "b"], "note": ""},
    "zero": 0,
    "no": False,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("source", "is_true"),
    [
        ("order.total > 10", True),
        ("order.total > 10 and order.status == 'paid'", True),
        ("order.total > 100 or order.status != 'open'", True),
        ("order.tags contains 'b'", True),
        ("order.tags contains 'z'", False),
        ("not order.gift", True),
        ("order.gift", False),
        ("order.gift.size > 3", False),
        ("order.note", True),
        ("order.note == blank", True),
        ("order.note | size", True),
        ("order.tags | size | at_least: 3", True),
        ("zero", True),
        ("no", False),
        ("nothing", False),
        ("nil", False),
        ("true", True),
        ("  order.total >= 99.9  ", True),
        ("'a,b' == \"a,b\"", True),
        ("no and no or true", False),
        ("steps['mail'].message_id", False),
    ],
)
def test_holds(source: str, *, is_true: bool) -> None:
    assert compile_condition(source).is_true(CONTEXT) is is_true


@pytest.mark.parametrize(
    "source",
    [
        "",
        "   ",
        "\n",
        "order.total >",
        "> 10",
        "and",
        "not",
        "order.total > > 10",
        "order.total <> 10",
        "order.total = 10",
        "a && b",
        "a b",
        "order.total > 10 order.status == 'paid'",
        "order.total > 10)",
        "order.total > 10, true",
        "(order.total > 10)",
        "true %}{% endif",
        "true %}{{ order.total }}{% if true",
        "'%}{% endif %}'",
        "{{ order.total }}",
        "{% if true %}",
        "order.total | nope",
        "order.total | plus 1",
        "'open",
        "[" * 5_000,
        "x" * 300_000,
    ],
)
def test_anything_else_is_a_syntax_error(source: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_condition(source)


@pytest.mark.parametrize("source", ["order.status | append", "order.tags | where_exp: 'tag', ''"])
def test_a_failing_filter_is_a_render_error(source: str) -> None:
    condition = compile_condition(source)

    with pytest.raises(RenderError) as caught:
        condition.is_true(CONTEXT)

    assert caught.value.code == "template_error"


def test_limits_hold_in_conditions_too() -> None:
    condition = compile_condition("(1..1000000000) contains 5")

    with pytest.raises(RenderError) as caught:
        condition.is_true(CONTEXT)

    assert caught.value.code == "template_limit_exceeded"


def test_a_condition_is_compiled_once_and_asked_often() -> None:
    condition = compile_condition("n > 2")

    assert [condition.is_true({"n": n}) for n in (1, 2, 3)] == [False, False, True]
