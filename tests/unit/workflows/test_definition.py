"""A definition as a whole: entry, ids, edges, shape; what one node may say is in test_node_parsing."""

from dataclasses import FrozenInstanceError
from time import process_time
from typing import Any

import pytest

from tests.factories import DELAY, EMAIL, SMS, definition
from tests.unit.workflows.reading import faults, found
from workflows.definition import FIELDS, MOST_EDGES, MOST_NODES, parse_definition
from workflows.faults import DefinitionInvalid
from workflows.nodes import DelayNode, MessageNode

WRONG_FOR_A_STRING: list[object] = [5, 1.5, True, None, [], {}, ["mail"]]


def delays(count: int) -> list[dict[str, Any]]:
    return [{"id": f"n{index}", "type": "delay", "delay_ms": 0} for index in range(count)]


class TestValid:
    def test_nodes_and_edges_are_typed_and_in_order(self) -> None:
        edges = [("mail", "wait"), ("wait", "text", "order.total > 10"), ("mail", "text")]

        read = parse_definition(definition(EMAIL, DELAY, SMS, edges=edges))

        graph = read.graph
        assert read.strict_variables is False
        assert graph.entry == "mail"
        assert [(node_id, type(node)) for node_id, node in graph.nodes.items()] == [
            ("mail", MessageNode),
            ("wait", DelayNode),
            ("text", MessageNode),
        ]
        assert graph.position == {"mail": 0, "wait": 1, "text": 2}
        assert [edge.key for edge in graph.outgoing["mail"]] == ["mail>wait", "mail>text"]
        assert [edge.key for edge in graph.incoming["text"]] == ["wait>text", "mail>text"]
        assert (graph.incoming["mail"], graph.outgoing["text"]) == ((), ())

    def test_a_condition_is_compiled(self) -> None:
        read = parse_definition(definition(EMAIL, SMS, edges=[("mail", "text", "order.total > 10")]))

        [edge] = read.graph.outgoing["mail"]
        assert edge.when is not None
        assert edge.when.is_true({"order": {"total": 11}}) is True
        assert edge.when.is_true({"order": {"total": 10}}) is False

    @pytest.mark.parametrize("edges", [[("mail", "text")], [("mail", "text", None)]], ids=["left out", "null"])
    def test_an_edge_needs_no_condition(self, edges: list[tuple[str, ...]]) -> None:
        [edge] = parse_definition(definition(EMAIL, SMS, edges=edges)).graph.outgoing["mail"]

        assert edge.when is None

    def test_a_single_node_needs_no_edges(self) -> None:
        raw = definition(EMAIL)
        del raw["edges"]

        assert list(parse_definition(raw).graph.nodes) == ["mail"]

    @pytest.mark.parametrize("strict", [True, False])
    def test_strict_variables_are_as_said(self, strict: bool) -> None:
        assert parse_definition(definition(EMAIL, strict_variables=strict)).strict_variables is strict

    def test_the_entry_node_need_not_be_the_first(self) -> None:
        raw = definition(EMAIL, SMS, edges=[("text", "mail")])

        assert parse_definition({**raw, "entry_node_id": "text"}).graph.entry == "text"

    def test_what_was_read_cannot_be_changed(self) -> None:
        read = parse_definition(definition(EMAIL))

        for frozen, name in ((read, "graph"), (read.graph, "entry"), (read.graph.nodes["mail"], "id")):
            with pytest.raises(FrozenInstanceError):
                setattr(frozen, name, None)

    def test_as_many_nodes_and_edges_as_allowed_are_read_quickly(self) -> None:
        nodes = delays(MOST_NODES)
        pairs = [(i, i + reach) for reach in range(1, 6) for i in range(MOST_NODES - reach)]
        edges: list[tuple[str, ...]] = [(f"n{i}", f"n{j}") for i, j in pairs]

        begun = process_time()
        read = parse_definition(definition(*nodes, edges=edges[:MOST_EDGES]))

        assert len(read.graph.nodes) == MOST_NODES == 500
        assert sum(len(found) for found in read.graph.outgoing.values()) == MOST_EDGES == 2_000
        assert process_time() - begun < 1

    def test_a_long_chain_is_read_quickly_in_whatever_order_its_edges_are_listed(self) -> None:
        nodes = delays(MOST_NODES)
        edges: list[tuple[str, ...]] = [(f"n{i}", f"n{i + 1}") for i in reversed(range(MOST_NODES - 1))]

        begun = process_time()
        parse_definition(definition(*nodes, edges=edges))

        assert process_time() - begun < 0.5


class TestFields:
    def test_entry_and_nodes_are_required(self) -> None:
        assert found({}) == [("entry_node_id", "required"), ("nodes", "required")]

    def test_unknown_fields_are_named_in_order(self) -> None:
        raw = definition(EMAIL, zoo=1, name="Order shipped")

        assert found(raw) == [("name", "unknown_field"), ("zoo", "unknown_field")]
        assert faults(raw)[0].message == (
            "There is no such field here; known are: edges, entry_node_id, nodes, retry, strict_variables."
        )

    def test_the_fields_are_those_that_a_version_keeps(self) -> None:
        assert FIELDS == ("entry_node_id", "nodes", "edges", "strict_variables", "retry")

    @pytest.mark.parametrize("value", WRONG_FOR_A_STRING)
    def test_the_entry_is_a_string(self, value: object) -> None:
        assert found({**definition(EMAIL), "entry_node_id": value}) == [("entry_node_id", "invalid_type")]

    @pytest.mark.parametrize("name", ["nodes", "edges"])
    @pytest.mark.parametrize("value", [5, 1.5, True, None, "mail", {}, {"0": {}}])
    def test_nodes_and_edges_are_lists(self, name: str, value: object) -> None:
        assert found({**definition(EMAIL), name: value}) == [(name, "invalid_type")]

    @pytest.mark.parametrize("name", ["nodes", "edges"])
    @pytest.mark.parametrize("value", [5, True, None, "mail", ["mail", "text"], []])
    def test_each_node_and_edge_is_an_object(self, name: str, value: object) -> None:
        raw = definition(EMAIL)

        assert found({**raw, name: [*raw[name], value]}) == [(f"{name}.{len(raw[name])}", "invalid_type")]

    @pytest.mark.parametrize("value", [0, 1, "true", None, [], {}])
    def test_strict_variables_is_true_or_false(self, value: object) -> None:
        assert found(definition(EMAIL, strict_variables=value)) == [("strict_variables", "invalid_type")]

    def test_a_workflow_has_at_least_one_node(self) -> None:
        assert found({"entry_node_id": "mail", "nodes": []}) == [("nodes", "empty")]

    @pytest.mark.parametrize("count", [MOST_NODES + 1, 10_000])
    def test_too_many_nodes_are_refused_unread(self, count: int) -> None:
        begun = process_time()
        assert found({"entry_node_id": "n0", "nodes": [{} for _ in range(count)]}) == [("nodes", "too_many")]
        assert process_time() - begun < 0.5

    def test_too_many_edges_are_refused_unread(self) -> None:
        assert found({**definition(EMAIL), "edges": [{} for _ in range(MOST_EDGES + 1)]}) == [("edges", "too_many")]


class TestEntry:
    def test_it_must_be_one_of_the_nodes(self) -> None:
        raw = {**definition(EMAIL), "entry_node_id": "Mail"}

        assert found(raw) == [("entry_node_id", "unknown_node")]
        assert faults(raw)[0].message == "There is no node with the id 'Mail'."

    def test_an_empty_one_is_refused(self) -> None:
        assert found({**definition(EMAIL), "entry_node_id": ""}) == [("entry_node_id", "unknown_node")]


class TestIds:
    def test_each_is_used_once(self) -> None:
        raw = definition(EMAIL, {**SMS, "id": "mail"}, {**DELAY, "id": "mail"}, edges=[])

        assert found(raw) == [("nodes.1.id", "duplicate_id"), ("nodes.2.id", "duplicate_id")]
        assert faults(raw)[1].message == "nodes.0 has the id 'mail' already."

    def test_a_node_with_other_faults_keeps_its_id_and_its_edges(self) -> None:
        raw = definition(EMAIL, {**DELAY, "duration": "soon"}, SMS)

        assert found(raw) == [("nodes.1.duration", "invalid_delay")]


class TestEdges:
    @pytest.mark.parametrize("name", ["from", "to"])
    def test_both_ends_are_required(self, name: str) -> None:
        edge = {"from": "mail", "to": "text"}
        del edge[name]

        assert found({**definition(EMAIL), "edges": [edge]}) == [(f"edges.0.{name}", "required")]

    @pytest.mark.parametrize("name", ["from", "to"])
    @pytest.mark.parametrize("value", WRONG_FOR_A_STRING)
    def test_both_ends_are_strings(self, name: str, value: object) -> None:
        edge = {"from": "mail", "to": "text", name: value}

        assert found({**definition(EMAIL), "edges": [edge]}) == [(f"edges.0.{name}", "invalid_type")]

    @pytest.mark.parametrize("name", ["from", "to"])
    def test_an_empty_end_is_refused(self, name: str) -> None:
        edge = {"from": "mail", "to": "mail", name: ""}

        assert found({**definition(EMAIL), "edges": [edge]}) == [(f"edges.0.{name}", "unknown_node")]

    @pytest.mark.parametrize(
        ("edge", "path"), [(("mail", "nobody"), "edges.1.to"), (("nobody", "text"), "edges.1.from")]
    )
    def test_both_ends_must_exist(self, edge: tuple[str, str], path: str) -> None:
        raw = definition(EMAIL, SMS, edges=[("mail", "text"), edge])

        assert found(raw) == [(path, "unknown_node")]
        assert faults(raw)[0].message == "There is no node with the id 'nobody'."

    def test_no_path_leads_through_a_node_that_is_missing(self) -> None:
        raw = definition(EMAIL, SMS, edges=[("mail", "nobody"), ("nobody", "text")])

        assert found(raw) == [
            ("edges.0.to", "unknown_node"),
            ("edges.1.from", "unknown_node"),
            ("nodes.1.id", "unreachable_node"),
        ]

    def test_no_cycle_leads_through_a_node_that_is_missing(self) -> None:
        raw = definition(EMAIL, edges=[("mail", "nobody"), ("nobody", "mail")])

        assert found(raw) == [("edges.0.to", "unknown_node"), ("edges.1.from", "unknown_node")]

    def test_two_nodes_are_joined_by_one_edge(self) -> None:
        edges = [("mail", "text"), ("mail", "text", "a"), ("mail", "text", "b")]
        raw = definition(EMAIL, SMS, edges=edges)

        assert found(raw) == [("edges.1", "duplicate_edge"), ("edges.2", "duplicate_edge")]
        assert faults(raw)[1].message == (
            "edges.0 leads from 'mail' to 'text' already; one edge with both conditions joined by `or` says the same."
        )

    def test_unknown_fields_are_named(self) -> None:
        raw = definition(EMAIL, SMS)

        assert found({**raw, "edges": [{**raw["edges"][0], "label": "x", "If": "y"}]}) == [
            ("edges.0.If", "unknown_field"),
            ("edges.0.label", "unknown_field"),
        ]

    @pytest.mark.parametrize("value", [5, 0, True, False, [], {}])
    def test_a_condition_is_a_string(self, value: object) -> None:
        raw = definition(EMAIL, SMS)

        assert found({**raw, "edges": [{**raw["edges"][0], "when": value}]}) == [("edges.0.when", "invalid_type")]

    @pytest.mark.parametrize("condition", ["", " ", "a ==", "== 1", "a and", "%}", "{{ a }}", "a %}{% if b"])
    def test_a_condition_is_what_could_stand_in_an_if(self, condition: str) -> None:
        assert found(definition(EMAIL, SMS, edges=[("mail", "text", condition)])) == [("edges.0.when", "liquid_syntax")]

    def test_the_fault_of_a_condition_names_the_line(self) -> None:
        [fault] = faults(definition(EMAIL, SMS, edges=[("mail", "text", "a == 1\nand b ==")]))

        assert fault.message.endswith("(line 2)")


class TestShape:
    def test_a_cycle_is_named(self) -> None:
        nodes = [{**SMS, "id": name} for name in ("a", "b", "c", "d")]
        raw = definition(*nodes, edges=[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")])

        assert found(raw) == [("edges", "cycle")]
        assert faults(raw)[0].message == "The edges lead in a circle: b -> c -> d -> b."

    def test_an_edge_to_its_own_node_is_a_cycle(self) -> None:
        raw = definition(EMAIL, edges=[("mail", "mail")])

        assert found(raw) == [("edges", "cycle")]
        assert faults(raw)[0].message == "The edges lead in a circle: mail -> mail."

    def test_an_edge_back_to_the_entry_is_a_cycle(self) -> None:
        assert found(definition(EMAIL, SMS, edges=[("mail", "text"), ("text", "mail")])) == [("edges", "cycle")]

    def test_a_cycle_that_cannot_be_reached_is_found_as_well(self) -> None:
        raw = definition(EMAIL, SMS, DELAY, edges=[("text", "wait"), ("wait", "text")])

        assert found(raw) == [
            ("edges", "cycle"),
            ("nodes.1.id", "unreachable_node"),
            ("nodes.2.id", "unreachable_node"),
        ]

    def test_every_node_must_be_reachable_from_the_entry(self) -> None:
        raw = definition(EMAIL, SMS, DELAY, edges=[("text", "mail"), ("mail", "wait")])

        assert found(raw) == [("nodes.1.id", "unreachable_node")]
        assert faults(raw)[0].message == "No path leads from the entry node 'mail' to 'text'."

    def test_two_ways_to_a_node_are_no_cycle(self) -> None:
        nodes = [{**SMS, "id": name} for name in ("a", "b", "c", "d")]
        raw = definition(*nodes, edges=[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")])

        assert len(parse_definition(raw).graph.incoming["d"]) == 3


def test_all_faults_are_reported_at_once() -> None:
    raw = {
        "entry_node_id": "nobody",
        "nodes": [
            {"id": "mail", "type": "email", "subject": "{{ a", "body": 5, "cc": "x", "on_doubt": "retry"},
            {"id": "mail", "type": "sms"},
            {"id": "1", "type": "delay", "delay_ms": -1},
            {"id": "wait", "type": "delay"},
            {"type": "push"},
            "text",
            {"id": "text", "type": "sms", "body": "x", "retry": {"max_attempts": 0, "intervals_s": [], "jitter": 1}},
        ],
        "edges": [
            {"from": "mail", "to": "wait", "when": "a =="},
            {"from": "wait", "to": "mail"},
            {"from": "wait", "to": "mail"},
            {"from": "text"},
            {"from": "text", "to": "1"},
            None,
        ],
        "strict_variables": "yes",
        "name": "Order shipped",
    }

    assert found(raw) == [
        ("name", "unknown_field"),
        ("strict_variables", "invalid_type"),
        ("nodes.0.cc", "unknown_field"),
        ("nodes.0.subject", "liquid_syntax"),
        ("nodes.0.body", "invalid_type"),
        ("nodes.0.on_doubt", "invalid_choice"),
        ("nodes.1.id", "duplicate_id"),
        ("nodes.1.body", "required"),
        ("nodes.2.id", "invalid_id"),
        ("nodes.2.delay_ms", "invalid_delay"),
        ("nodes.3", "invalid_delay"),
        ("nodes.4.id", "required"),
        ("nodes.4.type", "unknown_type"),
        ("nodes.5", "invalid_type"),
        ("nodes.6.retry.jitter", "unknown_field"),
        ("nodes.6.retry.max_attempts", "out_of_range"),
        ("nodes.6.retry.intervals_s", "empty"),
        ("edges.0.when", "liquid_syntax"),
        ("edges.2", "duplicate_edge"),
        ("edges.3.to", "required"),
        ("edges.5", "invalid_type"),
        ("entry_node_id", "unknown_node"),
        ("edges.4.to", "unknown_node"),
        ("edges", "cycle"),
    ]


def test_the_error_counts_its_faults_and_tells_the_first() -> None:
    with pytest.raises(DefinitionInvalid, match=r"2 fault\(s\), the first: entry_node_id: This field is required."):
        parse_definition({})
