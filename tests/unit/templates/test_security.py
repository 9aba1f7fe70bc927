"""A template reaches what the context holds, and nothing of Python behind it."""

from typing import Any

import pytest

from templates.rendering import TemplateSyntaxError, compile_template, render


class Account:
    """Something that should not have come into a context."""

    secret = "s3cret"

    def __getitem__(self, key: object) -> str:
        return self.secret

    def reveal(self) -> str:
        return self.secret


CONTEXT: dict[str, Any] = {"account": Account(), "text": "abc", "items": [1], "order": {"id": 17}, "n": 1}
SPECIAL = ["__class__", "__init__", "__dict__", "__globals__", "secret", "reveal", "upper", "keys", "append"]


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("root", list(CONTEXT))
def test_attributes_and_methods_do_not_exist(root: str, name: str) -> None:
    source = f"{{{{ {root}.{name} }}}}{{{{ {root}['{name}'] }}}}"

    assert render(source, CONTEXT).text == ""


@pytest.mark.parametrize("name", SPECIAL)
def test_filters_do_not_reach_them_either(name: str) -> None:
    context = {"list": [Account(), "abc", {"id": 1}]}

    assert render(f"{{{{ list | map: '{name}' | join: '' }}}}", context).text == ""
    assert render(f"{{{{ list | where: '{name}' | size }}}}", context).text == "0"
    assert render(f"{{{{ list | group_by: '{name}' | map: 'name' | join: '' }}}}", context).text == ""


def test_an_unknown_object_prints_as_one() -> None:
    assert render("{{ account }} {{ account | json }}", CONTEXT).text == '[object Object] "[object Object]"'


@pytest.mark.parametrize("tag", ["include", "render", "layout", "block"])
def test_a_template_cannot_load_another(tag: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="cannot load another"):
        compile_template(f"{{% {tag} 'secrets' %}}")


@pytest.mark.parametrize("source", ["{% extends 'a' %}", "{% macro a %}", "{% doc %}", "{% translate %}", "{% x %}"])
def test_unknown_tags_are_refused(source: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_template(source)


def test_the_context_is_never_written_to() -> None:
    context = {"n": 3, "items": [2, 1], "order": {"id": 1}}

    text = render(
        "{% increment n %}{% assign order = 5 %}{% assign items = items | sort | push: 9 %}"
        "{% capture n %}x{% endcapture %}{% for n in items %}{{ n }}{% endfor %}",
        context,
    ).text

    assert text == "3129"
    assert context == {"n": 3, "items": [2, 1], "order": {"id": 1}}


def test_a_time_zone_is_not_a_file() -> None:
    with pytest.raises(Exception, match="no time zone"):
        render("{{ 0 | date: '%Y', '../../etc/passwd' }}", {})


@pytest.mark.parametrize("source", ["a\0b", "a\0{{ n }}\0", "{% assign x = 'a\0' %}{{ x }}"])
def test_nul_is_a_character_like_any_other(source: str) -> None:
    assert "\0" in render(source, CONTEXT).text


def test_nul_outside_of_quotes_is_a_syntax_error() -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_template("{{ n\0 }}")


@pytest.mark.parametrize("source", ["\ud800", "{{ half }}", "\ud800{{ n }}", "{{ half | append: half }}"])
def test_what_is_said_can_always_be_encoded(source: str) -> None:
    text = render(source, {"half": "\ud83d", "n": 1}).text

    assert text.encode().decode() == text


def test_two_halves_make_a_character() -> None:
    assert render("{{ a }}{{ b }}", {"a": "\ud83d", "b": "\udc4d"}).text == "👍"
    assert render("{{ thumb | split: '' | join: '' | json }}", {"thumb": "👍"}).text == '"👍"'
