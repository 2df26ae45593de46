"""Panels of one SVG picture: their frame, words, and round marks for their axes."""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

LEFT, RIGHT, TOP, BOTTOM = 70, 20, 40, 50
"""Margins of a panel, in pixels."""

HEADER = 40
N_TICKS = 5
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold}"
    ".head{font-size:16px;font-weight:bold}.axis{stroke:#222;fill:none}"
    ".grid{stroke:#ddd}"
)


class Panels(NamedTuple):
    """Panels of one size, in pixels, so many in a row; ``style`` is theirs besides."""

    width: int
    height: int
    columns: int
    style: str

    @property
    def right(self) -> int:
        """Where the axis across ends, in a panel."""
        return self.width - RIGHT

    @property
    def low(self) -> int:
        """Where the axis across lies, in a panel."""
        return self.height - BOTTOM

    def picture(self, title: str, panels: Sequence[Sequence[str]]) -> str:
        """The SVG text: a title over the panels, each with what is drawn in it."""
        n_rows = math.ceil(len(panels) / self.columns)
        width, height = self.columns * self.width, HEADER + n_rows * self.height
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}">',
            f"<style>{STYLE}{self.style}</style>",
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            text(LEFT, 28, title, "start", "head"),
        ]
        for index, panel in enumerate(panels):
            row, column = divmod(index, self.columns)
            place = f"{column * self.width} {HEADER + row * self.height}"
            parts += [f'<g transform="translate({place})">', *panel, "</g>"]
        return "\n".join((*parts, "</svg>", ""))

    def framed(
        self, title: str, across: str, upwards: str, inside: Sequence[str]
    ) -> list[str]:
        """A panel: its title, what is inside, and both axes with their names."""
        return [
            text(LEFT, TOP - 18, title, "start", "title"),
            *inside,
            f'<path class="axis" d="M{LEFT} {TOP}V{self.low}H{self.right}"/>',
            text((LEFT + self.right) / 2, self.height - 12, across, "middle"),
            f'<g transform="translate(16 {(TOP + self.low) / 2}) rotate(-90)">',
            text(0, 0, upwards, "middle"),
            "</g>",
        ]


def text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    """Words at a place; ``anchor`` says which of their ends is there."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


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
