"""The picture of predicted against measured: points where their numbers are."""

from xml.etree import ElementTree

import numpy as np
import pytest

from adrs.scatter import svg

SVG = "{http://www.w3.org/2000/svg}"


def dots(measured, predicted):
    panel = {"a & b": (np.array(measured, float), np.array(predicted, float))}
    root = ElementTree.fromstring(svg("<title>", panel, "ms"))
    words = {e.text for e in root.iter(f"{SVG}text")}
    assert {"<title>", "a & b", "measured, ms", "predicted, ms"} <= words
    found = root.iter(f"{SVG}circle")
    return [(float(e.get("cx")), float(e.get("cy"))) for e in found]


def test_equal_times_lie_on_the_line_from_corner_to_corner():
    points = dots([1, 10, 100], [1, 10, 100])
    for x, y in points:
        across, upwards = (x - 70) / 310, (330 - y) / 290
        assert across == pytest.approx(upwards, abs=1e-3)
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.1)


def test_what_is_predicted_too_long_lies_above_the_line():
    (low, high) = dots([1, 1], [1, 2])
    assert low[0] == high[0] and high[1] < low[1]


def test_of_many_points_some_are_drawn():
    many = np.linspace(1, 2, 5000)
    assert 300 < len(dots(many, many)) <= 400
