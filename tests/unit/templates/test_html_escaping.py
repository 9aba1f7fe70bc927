"""HTML bodies escape what they print; everything else does not."""

from typing import Any

import pytest

from templates.rendering import compile_template, render

CONTEXT: dict[str, Any] = {"name": '<b>Tom & "Jerry\'s"</b>', "list": ["<", ">"], "n": 3}
ESCAPED = "&lt;b&gt;Tom &amp; &#34;Jerry&#39;s&#34;&lt;/b&gt;"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>{{ name }}</p>", f"<p>{ESCAPED}</p>"),
        ("{% echo name %}", ESCAPED),
        ("{% cycle name, 'b' %}", ESCAPED),
        ("{% liquid echo name %}", ESCAPED),
        ("{{ list }}{{ list | join: '&' }}", "&lt;&gt;&lt;&amp;&gt;"),
        ("{{ '<i>' }}", "&lt;i&gt;"),
        ("{{ name | upcase | slice: 0, 3 }}", "&lt;B&gt;"),
        ("{{ name | raw }}{% echo name | raw %}", CONTEXT["name"] * 2),
        ("{{ name | raw | slice: 0, 3 }}", "&lt;b&gt;"),
        ("{{ name | escape | slice: 0, 4 }}", "&amp;lt;"),
        ("{% capture x %}<i>{{ name | slice: 0 }}{% endcapture %}{{ x | raw }}", "<i>&lt;"),
        ("{{ n }}{{ nothing }}", "3"),
        ("{% raw %}{{ <b> }}{% endraw %}", "{{ <b> }}"),
    ],
)
def test_html_is_escaped_unless_raw(source: str, text: object) -> None:
    assert render(source, CONTEXT, is_html=True).text == text


def test_plain_text_is_never_escaped() -> None:
    assert render("{{ name }}", CONTEXT).text == CONTEXT["name"]


def test_both_kinds_live_side_by_side() -> None:
    plain, html = compile_template("{{ name }}"), compile_template("{{ name }}", is_html=True)

    assert (html.render(CONTEXT).text, plain.render(CONTEXT).text) == (ESCAPED, CONTEXT["name"])
