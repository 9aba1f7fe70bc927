"""The same template says the same thing here and in LiquidJS.

`liquidjs_cases.json` came with the project; `liquidjs_more_cases.json` was recorded by running LiquidJS 10.30.1 on
templates drawn at random and on some picked by hand.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from templates.rendering import TemplateError, render

FOLDER = Path(__file__).parent

# Each is explained in docs/guides/templates.md. One that starts to agree fails here, and leaves the list.
KNOWN_DIFFERENCES = {
    "{{ emo | first }}": "half of a character cannot be sent, so it becomes U+FFFD",
    "{{ name | no_such_filter }}": "an unknown filter is a mistake of the author, not a filter that does nothing",
    "{{ numbered | json }}": "names that look like numbers keep their place",
}


def load(name: str) -> list[Any]:
    recorded = json.loads((FOLDER / name).read_text())
    return [
        pytest.param(case, recorded["context"], id=f"{name}:{index}:{case['template'][:60]!r}")
        for index, case in enumerate(recorded["cases"])
    ]


CASES = load("liquidjs_cases.json") + load("liquidjs_more_cases.json")


def said(template: str, context: dict[str, Any]) -> dict[str, str]:
    try:
        return {"expected": render(template, context).text}
    except TemplateError:
        return {"error": "refused"}


@pytest.mark.parametrize(("case", "context"), CASES)
def test_says_what_liquidjs_says(case: dict[str, str], context: dict[str, Any]) -> None:
    recorded = {"error": "refused"} if "error" in case else {"expected": case["expected"]}

    if case["template"] in KNOWN_DIFFERENCES:
        assert said(case["template"], context) != recorded, "no difference any more: take it off the list"
    else:
        assert said(case["template"], context) == recorded


def test_every_known_difference_is_recorded() -> None:
    recorded = {case.values[0]["template"] for case in CASES}

    assert set(KNOWN_DIFFERENCES) <= recorded
