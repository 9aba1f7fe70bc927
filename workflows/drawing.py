"""Where the boxes and arrows of a workflow's picture go: layers from the entry down, few crossings. Pure.

The method is Sugiyama's: layers by the longest path from the entry, bends where an edge passes a layer, then rows put
in the order of their neighbours, then columns moved towards them. It gives numbers; a template makes the SVG.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx

BOX_WIDTH, BOX_HEIGHT = 208, 56
GAP_X, GAP_Y, MARGIN = 32, 76, 16
LABEL_LETTERS = 24
# Beyond this a picture is a tangle, and a table says more.
MOST_NODES_DRAWN = 60
MOST_EDGES_DRAWN = 120
PASSES = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node's place, by its upper left corner."""

    id: str
    type: str
    x: int
    y: int
    is_entry: bool = False
    width: int = BOX_WIDTH
    height: int = BOX_HEIGHT


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge's way, as an SVG path, and its condition with the middle of the label's place."""

    source: str
    target: str
    path: str
    when: str = ""
    label: str = ""
    label_x: int = 0
    label_y: int = 0

    @property
    def label_width(self) -> int:
        """How wide the label's box is."""
        return 7 * len(self.label) + 14


@dataclass(frozen=True, slots=True)
class Drawing:
    """The picture of a definition."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


@dataclass(slots=True)
class _Net:
    """The nodes and bends of a picture, row by row; a chain is an edge with its bends."""

    rows: list[list[str]]
    chains: dict[tuple[str, str], list[str]]
    above: dict[str, list[str]]
    below: dict[str, list[str]]


def draw(definition: Mapping[str, Any]) -> Drawing | None:
    """Return the picture of a definition that was valid once, or None when it is too large for one."""
    nodes: Sequence[Mapping[str, Any]] = definition["nodes"]
    edges: Sequence[Mapping[str, Any]] = definition.get("edges", [])
    if len(nodes) > MOST_NODES_DRAWN or len(edges) > MOST_EDGES_DRAWN:
        return None
    net = _net([node["id"] for node in nodes], [(edge["from"], edge["to"]) for edge in edges])
    _untangle(net)
    centres = _centres(net)
    left = min(centres[name] - _width(name) / 2 for name in centres)
    right = max(centres[name] + _width(name) / 2 for name in centres)
    points = {
        name: (round(centres[name] - left) + MARGIN, MARGIN + depth * (BOX_HEIGHT + GAP_Y))
        for depth, row in enumerate(net.rows)
        for name in row
    }
    return Drawing(
        width=round(right - left) + 2 * MARGIN,
        height=len(net.rows) * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN,
        boxes=tuple(_box(node, points, definition["entry_node_id"]) for node in nodes),
        arrows=tuple(_arrow(edge, net, points) for edge in edges),
    )


def _net(node_ids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> _Net:
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(node_ids)
    graph.add_edges_from(pairs)
    depth: dict[str, int] = {}
    for name in networkx.topological_sort(graph):
        depth[name] = max((depth[before] + 1 for before in graph.predecessors(name)), default=0)
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in node_ids:
        rows[depth[name]].append(name)
    net = _Net(rows, {}, defaultdict(list), defaultdict(list))
    for source, target in pairs:
        # Node ids hold no blank, so a bend can't be taken for a node.
        bends = [f"{source} {target} {row}" for row in range(depth[source] + 1, depth[target])]
        for row, bend in enumerate(bends, start=depth[source] + 1):
            rows[row].append(bend)
        net.chains[source, target] = chain = [source, *bends, target]
        for upper, lower in pairwise(chain):
            net.below[upper].append(lower)
            net.above[lower].append(upper)
    return net


def _untangle(net: _Net) -> None:
    """Order each row by the middle of its neighbours, from above and from below in turn; keep the best order seen."""
    best, fewest = [list(row) for row in net.rows], _crossings(net)
    for turn in range(PASSES):
        neighbours = net.above if turn % 2 == 0 else net.below
        for row in net.rows if turn % 2 == 0 else reversed(net.rows):
            place = {name: index for each in net.rows for index, name in enumerate(each)}
            row.sort(key=lambda name: _mean((place[other] for other in neighbours[name]), default=place[name]))  # noqa: B023  # used at once
        crossings = _crossings(net)
        if crossings < fewest:
            best, fewest = [list(row) for row in net.rows], crossings
    net.rows = best


def _crossings(net: _Net) -> int:
    count = 0
    for upper, lower in pairwise(net.rows):
        place = {name: index for index, name in enumerate(lower)}
        ends = [(index, place[other]) for index, name in enumerate(upper) for other in net.below[name]]
        count += sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[i + 1 :])
    return count


def _centres(net: _Net) -> dict[str, float]:
    """Return the middle of each box and bend: near its neighbours', and no two of a row too close."""
    centres: dict[str, float] = {}
    for row in net.rows:
        places = _apart(row, [0.0] * len(row))
        centres.update(zip(row, places, strict=True))
    for turn in range(2 * PASSES):
        neighbours = net.above if turn % 2 == 0 else net.below
        for row in net.rows if turn % 2 == 0 else reversed(net.rows):
            wanted = [_mean((centres[other] for other in neighbours[name]), default=centres[name]) for name in row]
            centres.update(zip(row, _apart(row, wanted), strict=True))
    return centres


def _apart(row: Sequence[str], wanted: Sequence[float]) -> list[float]:
    """Return places in this order, far enough apart, each as near to the wanted one as its neighbours let it.

    Those that would overlap form a block, which sits in the middle of what its members want.
    """
    offsets = [0.0]
    for before, after in pairwise(row):
        offsets.append(offsets[-1] + (_width(before) + _width(after)) / 2 + GAP_X)
    blocks: list[list[float]] = []
    for place, offset in zip(wanted, offsets, strict=False):
        blocks.append([place - offset])
        while len(blocks) > 1 and _mean(blocks[-2]) >= _mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = [_mean(block) for block in blocks for _ in block]
    return [start + offset for start, offset in zip(starts, offsets, strict=False)]


def _mean(values: Iterable[float], default: float = 0.0) -> float:
    found = list(values)
    return sum(found) / len(found) if found else default


def _width(name: str) -> int:
    return GAP_X // 2 if " " in name else BOX_WIDTH


def _box(node: Mapping[str, Any], points: Mapping[str, tuple[int, int]], entry: str) -> Box:
    x, y = points[node["id"]]
    return Box(node["id"], node["type"], x - BOX_WIDTH // 2, y, is_entry=node["id"] == entry)


def _arrow(edge: Mapping[str, Any], net: _Net, points: Mapping[str, tuple[int, int]]) -> Arrow:
    source, target = edge["from"], edge["to"]
    chain = net.chains[source, target]
    path = ""
    ways: list[tuple[int, int, int, int]] = []
    for upper, lower in pairwise(chain):
        (x1, top), (x2, y2) = points[upper], points[lower]
        y1 = top + BOX_HEIGHT
        middle = (y1 + y2) // 2
        path += f"M{x1},{y1}" if not path else f"L{x1},{y1}"
        path += f"C{x1},{middle} {x2},{middle} {x2},{y2}"
        ways.append((x1, y1, x2, y2))
    when = edge.get("when") or ""
    # Where many leave, a label stands near the end; where many meet, near the beginning: there it is alone.
    x1, y1, x2, y2 = ways[-1] if len(net.below[source]) >= len(net.above[target]) else ways[0]
    share = 0.72 if len(net.below[source]) >= len(net.above[target]) else 0.28
    along = 3 * share**2 - 2 * share**3
    return Arrow(
        source=source,
        target=target,
        path=path,
        when=when,
        label=when if len(when) <= LABEL_LETTERS else f"{when[: LABEL_LETTERS - 1]}…",
        label_x=round(x1 + (x2 - x1) * along),
        label_y=round(y1 + (y2 - y1) * share),
    )
