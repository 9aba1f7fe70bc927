"""Whatever JSON comes, a definition is read or refused with its faults, and what is read can run."""

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.factories import DELAY, EMAIL, SMS, definition
from workflows.definition import FIELDS, parse_definition
from workflows.faults import DefinitionInvalid

VALID: dict[str, Any] = definition(
    {
        **EMAIL,
        "html_body": "<p>{{ a }}</p>",
        "to": "{{ recipient.email }}",
        "on_doubt": "hold",
        "on_failure": "continue",
    },
    DELAY,
    {**SMS, "retry": {"max_attempts": 5, "intervals_s": [60, 300]}},
    {"id": "pause", "type": "delay", "delay_ms": 5},
    {**SMS, "id": "last", "retry": {"backoff": {"base_s": 2, "factor": 2, "cap_s": 60}}, "ttl_s": 300},
    edges=[
        ("mail", "wait"),
        ("wait", "text", "order.total > 10"),
        ("mail", "pause"),
        ("text", "last", "a contains 'b'"),
        ("pause", "last"),
    ],
    strict_variables=False,
    retry="patient",
)

# Words that mean something in a definition, so that nonsense gets further than the first check.
ROOT_NAMES = [*FIELDS, "name"]
NODE_NAMES = [
    "id",
    "type",
    "to",
    "subject",
    "body",
    "html_body",
    "delay_ms",
    "duration",
    "retry",
    "on_doubt",
    "on_failure",
    "ttl_s",
]
RETRY_NAMES = ["max_attempts", "backoff", "intervals_s", "base_s", "factor", "cap_s"]
NAMES = [*ROOT_NAMES, *NODE_NAMES, *RETRY_NAMES, "from", "when"]
WORDS = [
    "",
    "mail",
    "text",
    "wait",
    "email",
    "sms",
    "delay",
    "hold",
    "patient",
    "PT1H",
    "P1M",
    "{{ a",
    "{% if",
    "a ==",
    "a>b",
]

texts = st.sampled_from(WORDS) | st.text(st.characters(), max_size=20)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 10**30, -(10**400)])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | texts, inner, max_size=5),
    max_leaves=12,
)
roots = st.dictionaries(st.sampled_from(ROOT_NAMES) | texts, values, max_size=5)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of everything below `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inside for place in ((*path, key), *places(item, (*path, key)))]


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the valid definition with up to three things left out, replaced, added or doubled."""
    mutant = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        *way, key = draw(st.sampled_from(places(mutant)))
        inside: Any = mutant
        for step in way:
            inside = inside[step]
        change: Callable[[], None] = draw(st.sampled_from(changes(draw, inside, key)))
        change()
    return mutant


def changes(draw: st.DrawFn, inside: Any, key: Any) -> list[Callable[[], None]]:
    """Return what can be done at one place; a list's item can be doubled, an object's can't."""

    def leave_out() -> None:
        del inside[key]

    def replace() -> None:
        inside[key] = draw(values)

    def exchange() -> None:
        inside[key] = copy.deepcopy(draw(st.sampled_from([VALID["nodes"], *VALID["nodes"], *VALID["edges"], *WORDS])))

    def add() -> None:
        if isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[key]))
        else:
            inside[draw(st.sampled_from(NAMES))] = draw(values)

    return [leave_out, replace, exchange, add]


def test_what_is_mutated_is_valid() -> None:
    assert len(parse_definition(VALID).graph.nodes) == 5


@given(roots | mutants())
def test_no_json_raises_anything_but_its_faults(raw: dict[str, Any]) -> None:
    with suppress(DefinitionInvalid):
        parse_definition(raw)


@given(mutants())
def test_reading_leaves_the_definition_as_it_is(raw: dict[str, Any]) -> None:
    before = repr(raw)

    with suppress(DefinitionInvalid):
        parse_definition(raw)

    assert repr(raw) == before


@example({**VALID, "entry_node_id": ""})
@example({**VALID, "edges": [*VALID["edges"], {"from": "", "to": "mail"}]})
@given(mutants())
def test_what_is_accepted_can_run(raw: dict[str, Any]) -> None:
    try:
        graph = parse_definition(raw).graph
    except DefinitionInvalid:
        return
    edges = [edge for found in graph.outgoing.values() for edge in found]
    assert graph.entry in graph.nodes
    assert len(graph.nodes) == len(raw["nodes"])
    assert len(edges) == len(raw.get("edges", []))
    assert {edge.target for edge in edges} | {graph.entry} == graph.nodes.keys()
