"""The picture: well-formed, titled, and bars as high as their numbers."""

from xml.etree import ElementTree

import numpy as np
import pytest

from adrs.chart import svg
from adrs.panels import powers, short, ticks
from evaluators.workloads.histograms import Histogram

SVG = "{http://www.w3.org/2000/svg}"


def histogram(heights, edges=None, is_log=False):
    edges = np.arange(len(heights) + 1.0) if edges is None else np.array(edges, float)
    heights = np.array(heights, float)
    return Histogram("sizes & such", "tokens", "requests", edges, heights, is_log)


def drawn(*histograms):
    return ElementTree.fromstring(svg("a <title>", histograms))


def bars(root):
    return [e for e in root.iter(f"{SVG}rect") if e.get("class") == "bar"]


def test_the_title_the_axes_and_their_units_are_written():
    words = {e.text for e in drawn(histogram([1, 2])).iter(f"{SVG}text")}
    assert {"a <title>", "sizes & such", "tokens", "requests", "0", "2"} <= words


def test_bars_are_as_high_as_their_numbers_and_none_is_drawn_for_none():
    heights = [float(bar.get("height")) for bar in bars(drawn(histogram([1, 4, 0, 2])))]
    assert heights == pytest.approx([52.5, 210, 105])


def test_doublings_are_equally_wide_on_a_logarithmic_axis():
    root = drawn(histogram([1, 1, 1], edges=[1, 2, 4, 8], is_log=True))
    widths = [float(bar.get("width")) for bar in bars(root)]
    assert widths == pytest.approx([129, 129, 129], abs=0.2)


def test_panels_lie_two_in_a_row_inside_the_picture():
    root = drawn(*[histogram([1])] * 5)
    places = [e.get("transform") for e in root.iter(f"{SVG}g")]
    assert "translate(480 640)" not in places
    assert {"translate(0 40)", "translate(480 40)", "translate(0 640)"} <= set(places)
    assert (root.get("width"), root.get("height")) == ("960", "940")


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 4.7, [0, 1, 2, 3, 4]), (0, 250, [0, 50, 100, 150, 200, 250]), (3, 4, None)],
)
def test_ticks_are_round_and_between_the_ends(first, last, expected):
    found = ticks(first, last)
    assert found == pytest.approx(expected) if expected else len(found) >= 4
    assert min(found) >= first
    assert max(found) <= last


def test_powers_are_of_ten_where_there_are_three_else_of_two():
    assert powers(1, 2000) == pytest.approx([1, 10, 100, 1000])
    assert powers(30, 300) == pytest.approx([32, 64, 128, 256])
    assert powers(1, 2) == pytest.approx([1, 2])


@pytest.mark.parametrize(
    ("number", "letters"),
    [(0.05, "0.05"), (8, "8"), (8192, "8,192"), (20_000, "20k"), (2.5e6, "2.5M")],
)
def test_numbers_are_short(number, letters):
    assert short(number) == letters
