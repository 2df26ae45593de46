"""Histograms as one SVG picture, in plain text and without a plotting library."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from evaluators.workloads.histograms import Histogram

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 50
"""Of a panel, in pixels, and its margins."""

HEADER = 40
COLUMNS = 2
N_TICKS = 5
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}"
    ".head{font-size:16px;font-weight:bold}.bar{fill:#3b6ea5}"
    ".axis{stroke:#222}.grid{stroke:#ddd}"
)


def svg(title: str, histograms: Sequence[Histogram]) -> str:
    """The picture: a title over a panel for each histogram, two in a row."""
    n_rows = math.ceil(len(histograms) / COLUMNS)
    width, height = COLUMNS * WIDTH, HEADER + n_rows * HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(LEFT, 28, title, "start", "head"),
    ]
    for index, histogram in enumerate(histograms):
        row, column = divmod(index, COLUMNS)
        place = f"{column * WIDTH} {HEADER + row * HEIGHT}"
        parts += [f'<g transform="translate({place})">', *_panel(histogram), "</g>"]
    return "\n".join((*parts, "</svg>", ""))


def _panel(histogram: Histogram) -> list[str]:
    right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
    middle = (LEFT + right) / 2
    top = float(max(histogram.heights)) or 1.0
    return [
        _text(LEFT, TOP - 18, histogram.title, "start", "title"),
        *_heights(top),
        *_bars(histogram, top),
        *_places(histogram),
        f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{low}H{right}"/>',
        _text(middle, HEIGHT - 12, histogram.across, "middle"),
        f'<g transform="translate(16 {(TOP + low) / 2}) rotate(-90)">',
        _text(0, 0, histogram.upwards, "middle"),
        "</g>",
    ]


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


def _bars(histogram: Histogram, top: float) -> list[str]:
    low, bars = HEIGHT - BOTTOM, []
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
    low, found = HEIGHT - BOTTOM, []
    for tick in ticks(0.0, top):
        y = low - (low - TOP) * tick / top
        found += [
            f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>',
            _text(LEFT - 6, y + 4, short(tick), "end"),
        ]
    return found


def _places(histogram: Histogram) -> list[str]:
    """Marks and numbers of the axis across."""
    low, (first, last) = HEIGHT - BOTTOM, _ends(histogram)
    marks = powers(first, last) if histogram.is_log else ticks(first, last)
    found = []
    for mark in marks:
        x = _x(histogram, mark)
        found += [
            f'<path class="axis" d="M{x:.1f} {low}v5"/>',
            _text(x, low + 18, short(mark), "middle"),
        ]
    return found


def _x(histogram: Histogram, value: float) -> float:
    first, last = _ends(histogram)
    if histogram.is_log:
        first, last, value = math.log(first), math.log(last), math.log(value)
    return LEFT + (WIDTH - RIGHT - LEFT) * (value - first) / (last - first)


def _ends(histogram: Histogram) -> tuple[float, float]:
    return float(histogram.edges[0]), float(histogram.edges[-1])


def ticks(first: float, last: float) -> list[float]:
    """About five round numbers between two, which may be among them."""
    rough = (last - first) / N_TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough * 0.999)
    begin = math.ceil(first / step - 1e-9)
    return [n * step for n in range(begin, math.floor(last / step + 1e-9) + 1)]


def powers(first: float, last: float) -> list[float]:
    """Powers of ten between two numbers, or of two where those are few."""
    for base in (10.0, 2.0):
        begin = math.ceil(math.log(first, base) - 1e-9)
        end = math.floor(math.log(last, base) + 1e-9)
        if end - begin >= 2:
            break
    return [base**n for n in range(begin, end + 1)]


def short(number: float) -> str:
    """A number in few letters: 20000 is 20k."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= 10 * limit or abs(number) >= limit > 1e3:
            return f"{number / limit:.3g}{unit}"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
