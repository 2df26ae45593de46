"""Predicted against measured times as one SVG picture, a panel for each regime."""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from adrs.chart import powers, short

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 400, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 50
"""Of a panel, in pixels, and its margins."""

HEADER = 40
COLUMNS = 3
MOST_POINTS = 400
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}"
    ".head{font-size:16px;font-weight:bold}.dot{fill:#3b6ea5;fill-opacity:.5}"
    ".axis{stroke:#222;fill:none}.same{stroke:#b3403a}.grid{stroke:#ddd}"
)


def svg(title: str, panels: Mapping[str, tuple[Floats, Floats]], unit: str) -> str:
    """The picture: each panel's measured times across, predicted ones upwards.

    Both axes are logarithmic and the same; on the line both are equal. Of many points
    some are drawn, evenly taken.
    """
    n_rows = math.ceil(len(panels) / COLUMNS)
    width, height = COLUMNS * WIDTH, HEADER + n_rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(LEFT, 28, title, "start", "head"),
    ]
    for index, (name, (measured, predicted)) in enumerate(panels.items()):
        row, column = divmod(index, COLUMNS)
        place = f"{column * WIDTH} {HEADER + row * HEIGHT}"
        drawn = _panel(name, measured, predicted, unit)
        parts += [f'<g transform="translate({place})">', *drawn, "</g>"]
    return "\n".join((*parts, "</svg>", ""))


def _panel(name: str, measured: Floats, predicted: Floats, unit: str) -> list[str]:
    low = HEIGHT - BOTTOM
    least = float(min(measured.min(), predicted.min())) / 1.05
    most = float(max(measured.max(), predicted.max())) * 1.05
    every = max(1, math.ceil(len(measured) / MOST_POINTS))
    dots = [
        _dot(_place(x, least, most, LEFT, _right()), _place(y, least, most, low, TOP))
        for x, y in zip(
            measured[::every].tolist(), predicted[::every].tolist(), strict=True
        )
    ]
    return [
        _text(LEFT, TOP - 18, name, "start", "title"),
        *_marks(least, most),
        f'<path class="same" d="M{LEFT} {low}L{_right()} {TOP}"/>',
        *dots,
        f'<path class="axis" d="M{LEFT} {TOP}V{low}H{_right()}"/>',
        _text((LEFT + _right()) / 2, HEIGHT - 12, f"measured, {unit}", "middle"),
        f'<g transform="translate(16 {(TOP + low) / 2}) rotate(-90)">',
        _text(0, 0, f"predicted, {unit}", "middle"),
        "</g>",
    ]


def _dot(x: float, y: float) -> str:
    return f'<circle class="dot" r="2.5" cx="{x:.1f}" cy="{y:.1f}"/>'


def _marks(least: float, most: float) -> list[str]:
    low, found = HEIGHT - BOTTOM, []
    for mark in powers(least, most):
        x = _place(mark, least, most, LEFT, _right())
        y = _place(mark, least, most, low, TOP)
        found += [
            f'<path class="grid" d="M{x:.1f} {TOP}V{low}M{LEFT} {y:.1f}H{_right()}"/>',
            _text(x, low + 18, short(mark), "middle"),
            _text(LEFT - 6, y + 4, short(mark), "end"),
        ]
    return found


def _right() -> int:
    return WIDTH - RIGHT


def _place(value: float, least: float, most: float, first: float, last: float) -> float:
    share = math.log(value / least) / math.log(most / least)
    return first + (last - first) * share


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'
