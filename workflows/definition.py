"""From a workflow's JSON to its typed graph, or to everything that is wrong with it. Pure.

What a single node may say is in `node_parsing`; this module reads the whole.
"""

from dataclasses import dataclass

from templates.rendering import Condition, TemplateSyntaxError, compile_condition
from workflows.faults import DefinitionInvalid, Faults, join
from workflows.graph import Graph, build_graph, find_cycle, unreachable
from workflows.node_parsing import NODE_ID, parse_node
from workflows.nodes import Edge, Node, RetryPolicy
from workflows.retry_policies import parse_retry

FIELDS = ("entry_node_id", "nodes", "edges", "strict_variables", "retry")
MOST_NODES = 500
MOST_EDGES = 2_000


@dataclass(frozen=True, slots=True)
class Definition:
    """A valid definition: what a version holds, compiled."""

    graph: Graph
    strict_variables: bool


def parse_definition(raw: dict[str, object]) -> Definition:
    """Read a definition of the fields named in FIELDS.

    Raises DefinitionInvalid with every fault that can be seen at once: those of single nodes and edges always,
    those of the graph (entry, dangling edges, cycle, unreachable nodes) as far as its parts have ids.
    """
    faults = Faults()
    faults.unknown_fields(raw, "", set(FIELDS))
    entry = _given(raw, "", "entry_node_id", faults)
    if "nodes" not in raw:
        faults.add("nodes", "required", "This field is required.")
    strict = faults.typed(raw, "", "strict_variables", bool, default=False)
    retry = parse_retry(raw, "", faults, default=RetryPolicy())
    nodes, node_ids = _parse_nodes(raw, faults, retry=retry)
    edges = _parse_edges(raw, faults)
    _check_graph(entry, node_ids, edges, faults)
    if faults.found:
        raise DefinitionInvalid(tuple(faults.found))
    return Definition(graph=build_graph(entry=entry or "", nodes=nodes, edges=edges.values()), strict_variables=strict)


def _parse_nodes(raw: dict[str, object], faults: Faults, *, retry: RetryPolicy) -> tuple[list[Node], dict[str, int]]:
    """Return the nodes that could be read, and the index of each id, also of nodes with other faults."""
    items = faults.typed(raw, "", "nodes", list, default=[])
    if "nodes" in raw and raw["nodes"] == []:
        faults.add("nodes", "empty", "A workflow has at least one node.")
    if len(items) > MOST_NODES:
        faults.add("nodes", "too_many", f"A workflow has at most {MOST_NODES} nodes; these are {len(items)}.")
        return [], {}
    nodes: list[Node] = []
    node_ids: dict[str, int] = {}
    for index, item in enumerate(items):
        path = join("nodes", index)
        if not isinstance(item, dict):
            faults.add(path, "invalid_type", "This must be an object.")
            continue
        node_id = item.get("id")
        if isinstance(node_id, str) and node_id in node_ids:
            faults.add(join(path, "id"), "duplicate_id", f"nodes.{node_ids[node_id]} has the id {node_id!r} already.")
        elif isinstance(node_id, str) and NODE_ID.fullmatch(node_id):
            node_ids[node_id] = index
        node = parse_node(item, path, faults, retry=retry)
        if node is not None:
            nodes.append(node)
    return nodes, node_ids


def _parse_edges(raw: dict[str, object], faults: Faults) -> dict[int, Edge]:
    """Return the edges whose two ends could be read, by their index."""
    items = faults.typed(raw, "", "edges", list, default=[])
    if len(items) > MOST_EDGES:
        faults.add("edges", "too_many", f"A workflow has at most {MOST_EDGES} edges; these are {len(items)}.")
        return {}
    edges: dict[int, Edge] = {}
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        path = join("edges", index)
        if not isinstance(item, dict):
            faults.add(path, "invalid_type", "This must be an object.")
            continue
        edge = _parse_edge(item, path, faults)
        if edge is None:
            continue
        if edge.key in seen:
            faults.add(
                path,
                "duplicate_edge",
                f"edges.{seen[edge.key]} leads from {edge.source!r} to {edge.target!r} already; "
                "one edge with both conditions joined by `or` says the same.",
            )
        seen.setdefault(edge.key, index)
        edges[index] = edge
    return edges


def _parse_edge(item: dict[str, object], path: str, faults: Faults) -> Edge | None:
    faults.unknown_fields(item, path, {"from", "to", "when"})
    source = _given(item, path, "from", faults)
    target = _given(item, path, "to", faults)
    when: Condition | None = None
    if item.get("when") is not None:
        text = faults.typed(item, path, "when", str, default="")
        try:
            when = compile_condition(text) if text or item["when"] == "" else None
        except TemplateSyntaxError as error:
            faults.add(join(path, "when"), "liquid_syntax", str(error))
    return None if source is None or target is None else Edge(source, target, when)


def _given(raw: dict[str, object], path: str, name: str, faults: Faults) -> str | None:
    """Return a required string, or None when it is missing or of another type, which is noted."""
    if name not in raw:
        faults.add(join(path, name), "required", "This field is required.")
        return None
    text = faults.typed(raw, path, name, str, default="")
    return text if isinstance(raw[name], str) else None


def _check_graph(entry: str | None, node_ids: dict[str, int], edges: dict[int, Edge], faults: Faults) -> None:
    if not node_ids:
        return
    if entry is not None and entry not in node_ids:
        faults.add("entry_node_id", "unknown_node", f"There is no node with the id {entry!r}.")
    for index, edge in edges.items():
        for name, node_id in (("from", edge.source), ("to", edge.target)):
            if node_id not in node_ids:
                faults.add(join("edges", index, name), "unknown_node", f"There is no node with the id {node_id!r}.")
    pairs = [
        (edge.source, edge.target) for edge in edges.values() if edge.source in node_ids and edge.target in node_ids
    ]
    cycle = find_cycle(pairs)
    if cycle:
        faults.add("edges", "cycle", f"The edges lead in a circle: {' -> '.join(cycle)}.")
    if entry is not None and entry in node_ids:
        for node_id in unreachable(entry=entry, node_ids=node_ids, pairs=pairs):
            faults.add(
                join("nodes", node_ids[node_id], "id"),
                "unreachable_node",
                f"No path leads from the entry node {entry!r} to {node_id!r}.",
            )
