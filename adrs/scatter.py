"""Predicted against measured times as one SVG picture, a panel for each regime."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adrs.panels import LEFT, TOP, Panels, powers, short, text

Floats = NDArray[np.float64]

PANELS = Panels(400, 380, 3, ".dot{fill:#3b6ea5;fill-opacity:.5}.same{stroke:#b3403a}")
MOST_POINTS = 400


def svg(title: str, panels: Mapping[str, tuple[Floats, Floats]], unit: str) -> str:
    """The picture: each panel's measured times across, predicted ones upwards.

    Both axes are logarithmic and the same; on the line both are equal. Of many points
    some are drawn, evenly taken.
    """
    drawn = [_panel(name, *times, unit) for name, times in panels.items()]
    return PANELS.picture(title, drawn)


def _panel(name: str, measured: Floats, predicted: Floats, unit: str) -> list[str]:
    low, right = PANELS.low, PANELS.right
    least = float(min(measured.min(), predicted.min())) / 1.05
    most = float(max(measured.max(), predicted.max())) * 1.05
    every = max(1, math.ceil(len(measured) / MOST_POINTS))
    dots = [
        _dot(_place(x, least, most, LEFT, right), _place(y, least, most, low, TOP))
        for x, y in zip(
            measured[::every].tolist(), predicted[::every].tolist(), strict=True
        )
    ]
    same = f'<path class="same" d="M{LEFT} {low}L{right} {TOP}"/>'
    inside = [*_marks(least, most), same, *dots]
    across, upwards = f"measured, {unit}", f"predicted, {unit}"
    return PANELS.framed(name, across, upwards, inside)


def _dot(x: float, y: float) -> str:
    return f'<circle class="dot" r="2.5" cx="{x:.1f}" cy="{y:.1f}"/>'


def _marks(least: float, most: float) -> list[str]:
    low, right, found = PANELS.low, PANELS.right, []
    for mark in powers(least, most):
        x = _place(mark, least, most, LEFT, right)
        y = _place(mark, least, most, low, TOP)
        found += [
            f'<path class="grid" d="M{x:.1f} {TOP}V{low}M{LEFT} {y:.1f}H{right}"/>',
            text(x, low + 18, short(mark), "middle"),
            text(LEFT - 6, y + 4, short(mark), "end"),
        ]
    return found


def _place(value: float, least: float, most: float, first: float, last: float) -> float:
    share = math.log(value / least) / math.log(most / least)
    return first + (last - first) * share
