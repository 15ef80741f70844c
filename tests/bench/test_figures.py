"""Spreads, ratios and drawings of figures that are known."""

from xml.etree import ElementTree

import pytest

from bench.plot import Bar, Bars, Curve, Curves, drawing
from bench.spread import Spread, ratio, spread

SVG = "{http://www.w3.org/2000/svg}"


def test_a_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_a_ratio_is_that_of_the_medians_with_the_lowest_and_highest_of_runs_made_in_turn() -> None:
    assert ratio([10.0, 30.0, 20.0], [10.0, 10.0, 5.0]) == Spread(2.0, 1.0, 4.0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Spread(374.4, 350.0, 401.9), "374 (350 to 402)"),
        (Spread(23.46, 20.0, 30.0), "23.5 (20.0 to 30.0)"),
        (Spread(1.066, 0.9, 1.2), "1.07 (0.90 to 1.20)"),
    ],
)
def test_a_spread_is_printed_with_as_many_digits_as_mean_something(value: Spread, said: str) -> None:
    assert str(value) == said


def test_bars_are_as_long_as_their_medians_and_marked_from_the_lowest_to_the_highest() -> None:
    bars = Bars("cost", [Bar("a", Spread(2.0, 1.0, 4.0), "#000"), Bar("b", Spread(1.0, 1.0, 1.0), "#fff")])
    root = ElementTree.fromstring(drawing([bars]))

    _, first, second = (float(rect.attrib["width"].rstrip("%")) for rect in root.iter(f"{SVG}rect"))
    assert first == pytest.approx(2 * second)
    whole = next(root.iter(f"{SVG}line")).attrib
    assert float(whole["x2"]) - float(whole["x1"]) == pytest.approx(3 * second)
    assert {"cost", "a", "b", "2.00 (1.00 to 4.00)"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_curves_go_from_left_to_right_and_higher_where_there_is_more() -> None:
    root = ElementTree.fromstring(
        drawing([Curves("memory", "logins", [Curve("a", [(0, 1.0), (9, 2.0)], "#000")])])
    )

    (line,) = root.iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in line.attrib["points"].split())
    assert x1 < x2
    assert y1 > y2
    assert "9 logins" in {text.text for text in root.iter(f"{SVG}text")}


def test_names_are_escaped_and_panels_stand_beside_and_below_each_other() -> None:
    panel = Bars("<&>", [Bar("a", Spread(1.0, 1.0, 1.0), "#000")])
    root = ElementTree.fromstring(drawing([panel] * 3))

    places = [group.attrib["transform"] for group in root.iter(f"{SVG}g")]
    assert len(set(places)) == 3
    assert [text.text for text in root.iter(f"{SVG}text")].count("<&>") == 3
