"""`templates/preview/` as API.md has it, and what nobody gets it to do."""

from time import monotonic
from typing import Any

import pytest
from django.test import Client

from execution.models import Step
from tests.integration.api.answers import call, details_of, errors_of
from triggers.models import Trigger

pytestmark = pytest.mark.django_db

# Far above what the limits allow on a busy machine, far below what an endless template would take.
SOON_SECONDS = 10


def preview(admin: Client, **body: Any) -> Any:
    return call(admin, "POST", "templates/preview/", body)


def test_a_preview_is_the_text_and_what_was_missing(admin: Client) -> None:
    answer = preview(
        admin,
        source="Hi {{ recipient.name }}, {{ order.id | plus: 1 }}{{ order.note }}{{ gone }}",
        context={"recipient": {"name": "Ann & Bea"}, "order": {"id": 16}},
    )

    assert (answer.status_code, answer.json()) == (
        200,
        {"text": "Hi Ann & Bea, 17", "missing_variables": ["order.note", "gone"]},
    )
    assert (Trigger.objects.count(), Step.objects.count()) == (0, 0)


def test_the_context_may_be_left_out(admin: Client) -> None:
    assert preview(admin, source="").json() == {"text": "", "missing_variables": []}


@pytest.mark.parametrize(("is_strict", "status"), [(True, 400), (False, 200)])
def test_strict_variables_make_a_missing_one_an_error(admin: Client, is_strict: bool, status: int) -> None:
    answer = preview(admin, source="a\n{{ gone }}", strict_variables=is_strict)

    assert answer.status_code == status
    if is_strict:
        assert errors_of(answer) == [("source", "undefined_variable")]
        assert details_of(answer) == ["Line 2: undefined variable: gone"]


def test_a_syntax_error_names_its_line(admin: Client) -> None:
    answer = preview(admin, source="a\nb\n{% if a %}")

    assert (answer.status_code, errors_of(answer)) == (400, [("source", "liquid_syntax")])
    assert details_of(answer)[0].startswith("Line 3: ")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{% if a %}" * 3_000 + "{% endif %}" * 3_000, "liquid_syntax"),
        ("{% comment %}" * 4_000, "liquid_syntax"),
        ("{{" + "(" * 5_000 + "1" + ")" * 5_000 + "}}", "liquid_syntax"),
        ("{{ a" + "[a" * 5_000 + "]" * 5_000 + " }}", "liquid_syntax"),
        ("{% include 'a' %}", "liquid_syntax"),
        ("{% render '/etc/passwd' %}", "liquid_syntax"),
        ("{% for i in (1..100000000000) %}{% endfor %}", "template_limit_exceeded"),
        ("{{ (1..10000000000000) | join: ',' | size }}", "template_limit_exceeded"),
        ("{% for i in (1..large) %}{{ i }}{% endfor %}", "template_limit_exceeded"),
        ("{% for i in (1..999) %}" * 6 + "x" + "{% endfor %}" * 6, "template_limit_exceeded"),
        ("{% assign s = 'x' %}" + "{% assign s = s | append: s %}" * 60 + "{{ s }}", "template_limit_exceeded"),
        ("{{ text | replace: 'x', text | replace: 'x', text }}", "template_limit_exceeded"),
        ("{{ text | split: '' | join: text }}", "template_limit_exceeded"),
        ("{{ 1 | date: '%99999999Y' }}", "template_limit_exceeded"),
    ],
)
def test_no_template_keeps_a_server_busy(admin: Client, source: str, code: str) -> None:
    started = monotonic()

    answer = preview(admin, source=source, context={"large": 10**400, "text": "x" * 20_000})

    assert (answer.status_code, errors_of(answer)) == (400, [("source", code)])
    assert monotonic() - started < SOON_SECONDS


@pytest.mark.parametrize(
    "source",
    [
        "{{ large }} {{ large | plus: 1 }} {{ large | times: 1.5 }} {{ large | divided_by: 0 }}",
        "{{ large | times: large | times: large }} {{ large | date: '%Y' }} {{ 1.5 | round: 99999999 }}",
        "{{ text | slice: -99999999999999999999, 99999999999999999999 }} {{ text | truncate: 1e400 }}",
        "{{ a" + ".a" * 30_000 + " }}",
        "{{ a" + " | upcase" * 6_000 + " }}",
        "{% if " + " and ".join(["a"] * 8_000) + " %}{% endif %}",
        "{% case a %}" + "{% when 1 %}" * 5_000 + "{% endcase %}",
        "{{ text.__class__.__mro__ }}{{ text.format }}{{ a.size.size }}",
    ],
)
def test_odd_templates_render_or_are_refused(admin: Client, source: str) -> None:
    started = monotonic()

    answer = preview(admin, source=source, context={"large": 10**400, "text": "x", "a": {}})

    assert answer.status_code in (200, 400)
    assert "class" not in answer.json().get("text", "")
    assert monotonic() - started < SOON_SECONDS


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("source", "required")]),
        ({"source": None}, [("source", "null")]),
        ({"source": "x" * 65_537}, [("source", "max_length")]),
        ({"source": "x", "context": []}, [("context", "not_a_dict")]),
        ({"source": "x", "context": None}, [("context", "null")]),
        ({"source": "x", "strict_variables": "perhaps"}, [("strict_variables", "invalid")]),
        ({"source": "x", "strict": True}, [("strict", "unknown_field")]),
    ],
)
def test_bad_bodies(admin: Client, body: dict[str, Any], errors: list[tuple[str, str]]) -> None:
    answer = preview(admin, **body)

    assert (answer.status_code, errors_of(answer)) == (400, errors)
