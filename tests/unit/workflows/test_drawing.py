"""Where boxes and arrows go: below what leads to them, apart from each other, with few crossings."""

from itertools import combinations, pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.factories import DELAY, EMAIL, SMS, definition
from workflows.drawing import (
    BOX_HEIGHT,
    BOX_WIDTH,
    GAP_X,
    MARGIN,
    MOST_EDGES_DRAWN,
    MOST_NODES_DRAWN,
    Box,
    Drawing,
    draw,
)


def mail(node_id: str) -> dict[str, Any]:
    return {**EMAIL, "id": node_id}


def drawn(*nodes: dict[str, Any], edges: list[tuple[str, ...]] | None = None) -> Drawing:
    drawing = draw(definition(*nodes, edges=edges))
    assert drawing is not None
    return drawing


def boxes(drawing: Drawing) -> dict[str, Box]:
    return {box.node.id: box for box in drawing.boxes}


def test_a_chain_goes_straight_down_from_the_entry() -> None:
    drawing = drawn(EMAIL, DELAY, SMS)

    assert [box.node.id for box in drawing.boxes] == ["mail", "wait", "text"]
    assert {box.x for box in drawing.boxes} == {MARGIN}
    assert all(upper.y + BOX_HEIGHT < lower.y for upper, lower in pairwise(drawing.boxes))
    assert (drawing.width, drawing.boxes[-1].y + BOX_HEIGHT + MARGIN) == (BOX_WIDTH + 2 * MARGIN, drawing.height)


def test_a_join_stands_below_its_longest_way() -> None:
    edges: list[tuple[str, ...]] = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]

    found = boxes(drawn(*map(mail, "abcd"), edges=edges))

    assert found["a"].y < found["b"].y < found["c"].y < found["d"].y


def test_an_arrow_that_passes_a_row_goes_around_its_boxes() -> None:
    drawing = drawn(mail("a"), mail("b"), mail("c"), edges=[("a", "b"), ("b", "c"), ("a", "c", "x > 1")])

    box = boxes(drawing)["b"]
    arrow = next(arrow for arrow in drawing.arrows if arrow.when)
    left, right = arrow.label_x + arrow.label_left, arrow.label_x - arrow.label_left
    assert box.y < arrow.label_y < box.y + BOX_HEIGHT
    assert right < box.x or box.x + BOX_WIDTH < left


def test_rows_are_ordered_so_that_arrows_do_not_cross() -> None:
    edges: list[tuple[str, ...]] = [("r", "a"), ("r", "b"), ("r", "c"), ("a", "z"), ("b", "y"), ("c", "x")]

    found = boxes(drawn(*map(mail, "rabcxyz"), edges=edges))

    order_above = sorted("abc", key=lambda name: found[name].x)
    order_below = sorted("xyz", key=lambda name: found[name].x)
    assert [{"a": "z", "b": "y", "c": "x"}[name] for name in order_above] == order_below


def test_a_long_condition_is_shortened_on_its_label_and_kept_whole_beside_it() -> None:
    condition = "order.total > 100 and recipient.vip == true"

    arrow = drawn(mail("a"), mail("b"), edges=[("a", "b", condition)]).arrows[0]

    assert (arrow.label, arrow.when) == ("order.total > 100 and r…", condition)


def test_boxes_say_what_their_nodes_are_about_and_how_they_ended() -> None:
    drawing = draw(definition(EMAIL, DELAY, SMS), {"mail": "succeeded"})

    assert drawing is not None
    assert [(box.title, box.caption, box.mark) for box in drawing.boxes] == [
        ("mail", "Order {{ order.id }}", "succeeded"),
        ("wait", "waits 1 day", ""),
        ("text", "Picked up yet, {{ recipie…", ""),
    ]


def test_what_is_too_large_is_not_drawn() -> None:
    names = [f"n{number}" for number in range(MOST_NODES_DRAWN + 1)]
    many: list[tuple[str, ...]] = [tuple(pair) for pair in combinations(names[:20], 2)][: MOST_EDGES_DRAWN + 1]

    assert draw(definition(*map(mail, names))) is None
    assert draw(definition(*map(mail, names[:20]), edges=many)) is None
    assert draw(definition(*map(mail, names[:-1]))) is not None


@given(st.data())
def test_no_two_boxes_of_any_workflow_touch(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    names = [f"n{number}" for number in range(count)]
    edges: list[tuple[str, ...]] = []
    for number in range(1, count):
        above = data.draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3))
        edges += [(names[each], names[number]) for each in sorted(above)]

    drawing = drawn(*map(mail, names), edges=edges)

    found = boxes(drawing)
    for one, other in combinations(drawing.boxes, 2):
        assert one.y != other.y or abs(one.x - other.x) >= BOX_WIDTH + GAP_X - 1
    assert all(found[source].y < found[target].y for source, target in edges)
    assert all(box.x >= 0 and box.x + BOX_WIDTH <= drawing.width for box in drawing.boxes)
    assert len(drawing.arrows) == len(edges)
