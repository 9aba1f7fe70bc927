"""Where the boxes and arrows of a workflow's picture go: layers from the entry down, few crossings. Pure.

The method is Sugiyama's: layers by the longest path from the entry, bends where an edge passes a layer, then rows put
in the order of their neighbours, then columns moved towards them. It gives numbers; a template makes the SVG.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import networkx

from workflows.node_types import DELAY
from workflows.words import NodeWords, describe

BOX_WIDTH, BOX_HEIGHT = 208, 56
BEND_WIDTH, GAP_X, GAP_Y, MARGIN = 16, 32, 76, 16
LABEL_LETTERS, TITLE_LETTERS, CAPTION_LETTERS = 24, 19, 26
# Beyond this a picture is a tangle, and a table says more.
MOST_NODES_DRAWN = 60
MOST_EDGES_DRAWN = 120
PASSES = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node's place, by its upper left corner; `mark` says what became of it in a run, if this shows one."""

    node: NodeWords
    x: int
    y: int
    mark: str = ""
    width: int = BOX_WIDTH
    height: int = BOX_HEIGHT

    @property
    def title(self) -> str:
        """The node's id, as much as fits."""
        return _shortened(self.node.id, TITLE_LETTERS)

    @property
    def caption(self) -> str:
        """What the node is about, as much as fits: how long it waits, or the beginning of what it says."""
        texts = dict(self.node.texts)
        about = self.node.timing if self.node.type == DELAY else texts.get("subject") or texts.get("body") or ""
        return _shortened(about, CAPTION_LETTERS)


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
        return _label_width(self.label)

    @property
    def label_left(self) -> int:
        """Where the label's box begins, counted from its middle."""
        return -self.label_width // 2


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
    chains: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    above: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    below: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def draw(definition: Mapping[str, Any], marks: Mapping[str, str] | None = None) -> Drawing | None:
    """Return the picture of a definition that was valid once, or None when it is too large for one.

    `marks` gives nodes a word each, such as the status of their latest step.
    """
    nodes: Sequence[Mapping[str, Any]] = definition["nodes"]
    edges: Sequence[Mapping[str, Any]] = definition.get("edges", [])
    if len(nodes) > MOST_NODES_DRAWN or len(edges) > MOST_EDGES_DRAWN:
        return None
    net = _net([node["id"] for node in nodes], edges)
    _untangle(net)
    centres = _centres(net)
    left = min(centres[name] - net.widths[name] / 2 for name in centres)
    right = max(centres[name] + net.widths[name] / 2 for name in centres)
    points = {
        name: (round(centres[name] - left) + MARGIN, MARGIN + depth * (BOX_HEIGHT + GAP_Y))
        for depth, row in enumerate(net.rows)
        for name in row
    }
    return Drawing(
        width=round(right - left) + 2 * MARGIN,
        height=len(net.rows) * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN,
        boxes=tuple(
            Box(node, points[node.id][0] - BOX_WIDTH // 2, points[node.id][1], (marks or {}).get(node.id, ""))
            for node in describe(definition)
        ),
        arrows=tuple(_arrow(edge, net, points) for edge in edges),
    )


def _net(node_ids: Sequence[str], edges: Sequence[Mapping[str, Any]]) -> _Net:
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(node_ids)
    graph.add_edges_from((edge["from"], edge["to"]) for edge in edges)
    depth: dict[str, int] = {}
    for name in networkx.topological_sort(graph):
        depth[name] = max((depth[before] + 1 for before in graph.predecessors(name)), default=0)
    net = _Net([[] for _ in range(max(depth.values()) + 1)])
    for name in node_ids:
        net.rows[depth[name]].append(name)
        net.widths[name] = BOX_WIDTH
    for edge in edges:
        source, target = edge["from"], edge["to"]
        # Node ids hold no blank, so a bend can't be taken for a node.
        bends = {f"{source} {target} {row}": row for row in range(depth[source] + 1, depth[target])}
        for bend, row in bends.items():
            net.rows[row].append(bend)
            net.widths[bend] = BEND_WIDTH + _label_width(_shortened(edge.get("when") or "", LABEL_LETTERS))
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
            row.sort(key=lambda name: _mean((place[other] for other in neighbours[name]), default=place[name]))
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
    centres = dict.fromkeys(net.widths, 0.0)
    for turn in range(2 * PASSES):
        neighbours = net.above if turn % 2 == 0 else net.below
        for row in net.rows if turn % 2 == 0 else reversed(net.rows):
            wanted = [_mean((centres[other] for other in neighbours[name]), default=centres[name]) for name in row]
            centres.update(zip(row, _apart([net.widths[name] for name in row], wanted), strict=True))
    return centres


def _apart(widths: Sequence[int], wanted: Sequence[float]) -> list[float]:
    """Return places in this order, far enough apart, each as near to the wanted one as its neighbours let it.

    Those that would overlap form a block, which sits in the middle of what its members want.
    """
    offsets = [0.0]
    for before, after in pairwise(widths):
        offsets.append(offsets[-1] + (before + after) / 2 + GAP_X)
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


def _arrow(edge: Mapping[str, Any], net: _Net, points: Mapping[str, tuple[int, int]]) -> Arrow:
    chain = net.chains[edge["from"], edge["to"]]
    path = f"M{points[chain[0]][0]},{points[chain[0]][1] + BOX_HEIGHT}"
    for upper, lower in pairwise(chain):
        (x1, top), (x2, y2) = points[upper], points[lower]
        y1 = top + BOX_HEIGHT
        middle = (y1 + y2) // 2
        path += f"L{x1},{y1}C{x1},{middle} {x2},{middle} {x2},{y2}"
    x, y = _label_place(chain, net, points)
    when = edge.get("when") or ""
    return Arrow(chain[0], chain[-1], path, when, _shortened(when, LABEL_LETTERS), x, y)


def _label_place(chain: Sequence[str], net: _Net, points: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the middle of an edge's label: on its bend, which has room for it, or else where it stands alone.

    That is near the end where many edges leave, and near the beginning where many meet.
    """
    bends = chain[1:-1]
    if bends:
        x, top = points[bends[len(bends) // 2]]
        return x, top + BOX_HEIGHT // 2
    (x1, top), (x2, y2) = points[chain[0]], points[chain[-1]]
    y1 = top + BOX_HEIGHT
    share = 0.72 if len(net.below[chain[0]]) >= len(net.above[chain[-1]]) else 0.28
    # The curve is a cubic whose inner points are level with its ends, so x goes like this while y goes evenly.
    along = 3 * share**2 - 2 * share**3
    return round(x1 + (x2 - x1) * along), round(y1 + (y2 - y1) * share)


def _label_width(label: str) -> int:
    return 7 * len(label) + 14 if label else 0


def _shortened(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
