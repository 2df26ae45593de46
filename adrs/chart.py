"""Histograms as one SVG picture, in plain text and without a plotting library."""

import math
from collections.abc import Sequence

from adrs.panels import LEFT, TOP, Panels, powers, short, text, ticks
from evaluators.workloads.histograms import Histogram

PANELS = Panels(480, 300, 2, ".bar{fill:#3b6ea5}")


def svg(title: str, histograms: Sequence[Histogram]) -> str:
    """The picture: a title over a panel for each histogram, two in a row."""
    return PANELS.picture(title, [_panel(each) for each in histograms])


def _panel(histogram: Histogram) -> list[str]:
    top = float(max(histogram.heights)) or 1.0
    inside = [*_heights(top), *_bars(histogram, top), *_places(histogram)]
    return PANELS.framed(histogram.title, histogram.across, histogram.upwards, inside)


def _bars(histogram: Histogram, top: float) -> list[str]:
    low, bars = PANELS.low, []
    edges = [_x(histogram, edge) for edge in histogram.edges.tolist()]
    pairs = zip(edges[:-1], edges[1:], histogram.heights.tolist(), strict=True)
    for begin, end, height in pairs:
        size = (low - TOP) * height / top
        if size > 0:
            gap = min(1.0, (end - begin) / 4)
            bars.append(
                f'<rect class="bar" x="{begin:.1f}" y="{low - size:.1f}" '
                f'width="{end - begin - gap:.1f}" height="{size:.1f}"/>'
            )
    return bars


def _heights(top: float) -> list[str]:
    """Lines and numbers of the upward axis."""
    low, found = PANELS.low, []
    for tick in ticks(0.0, top):
        y = low - (low - TOP) * tick / top
        found += [
            f'<path class="grid" d="M{LEFT} {y:.1f}H{PANELS.right}"/>',
            text(LEFT - 6, y + 4, short(tick), "end"),
        ]
    return found


def _places(histogram: Histogram) -> list[str]:
    """Marks and numbers of the axis across."""
    low, (first, last) = PANELS.low, _ends(histogram)
    marks = powers(first, last) if histogram.is_log else ticks(first, last)
    found = []
    for mark in marks:
        x = _x(histogram, mark)
        found += [
            f'<path class="axis" d="M{x:.1f} {low}v5"/>',
            text(x, low + 18, short(mark), "middle"),
        ]
    return found


def _x(histogram: Histogram, value: float) -> float:
    first, last = _ends(histogram)
    if histogram.is_log:
        first, last, value = math.log(first), math.log(last), math.log(value)
    return LEFT + (PANELS.right - LEFT) * (value - first) / (last - first)


def _ends(histogram: Histogram) -> tuple[float, float]:
    return float(histogram.edges[0]), float(histogram.edges[-1])
