"""Measured times of dense matrix products, at any size of matrix."""

import math
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evaluators.calibration.curves import Columns, Curve, Floats, bracket, curve, groups


@dataclass(frozen=True, eq=False)
class GemmTable:
    """Curves by rows m for each measured (n, k): x (m, k) times w (k, n).

    Times are linear in m, and bilinear in n and k between measured matrices: tiles make
    steps of it that only more matrices would show. A matrix beyond the largest is cut
    into equal parts that are inside. Whatever leaves the table is counted in ``notes``.
    """

    curves: dict[tuple[float, float], Curve]
    notes: Counter[str]

    def seconds(self, m: Floats, n: float, k: float) -> Floats:
        """Seconds of a product for each count of rows ``m``."""
        if (n, k) in self.curves:
            return self._read(self.curves[n, k], m)
        parts_n = math.ceil(n / self._columns[-1])
        parts_k = math.ceil(k / self._depths[-1])
        if parts_n * parts_k > 1:
            self.notes[f"gemm n={n:.0f} k={k:.0f}: cut into equal parts"] += 1
            part = self.seconds(m, n / parts_n, k / parts_k)
            return np.asarray(part * (parts_n * parts_k))
        if n < self._columns[0] or k < self._depths[0]:
            self.notes[f"gemm n={n:.0f} k={k:.0f}: smaller than any measured"] += 1
        lines = [*self._line(m, n, k, axis=0), *self._line(m, n, k, axis=1)]
        if not lines:
            return self._corners(m, n, k)
        return np.asarray(np.mean(lines, axis=0))

    def is_inside(self, n: float, k: float) -> bool:
        """Whether measured matrices surround this one, or it is measured itself."""
        if (n, k) in self.curves:
            return True
        for axis, (own, other) in enumerate(((n, k), (k, n))):
            sizes = self._lines[1 - axis].get(other)
            if sizes is not None and sizes[0] <= own <= sizes[-1]:
                return True
        is_within = self._columns[0] <= n <= self._columns[-1]
        is_within &= self._depths[0] <= k <= self._depths[-1]
        corners = [
            (own_n, own_k)
            for own_n, _ in bracket(self._columns, n)
            for own_k, _ in bracket(self._depths, k)
        ]
        return bool(is_within) and all(corner in self.curves for corner in corners)

    def without(self, keys: Container[tuple[float, float]]) -> "GemmTable":
        """The table less those matrices, as if they had never been measured."""
        kept = {key: c for key, c in self.curves.items() if key not in keys}
        return GemmTable(kept, self.notes)

    def _line(self, m: Floats, n: float, k: float, axis: int) -> list[Floats]:
        """The time between measured matrices that differ in one size, where any do.

        ``axis`` 0 varies n at the same k, 1 varies k at the same n.
        """
        wanted = (n, k)
        sizes = self._lines[1 - axis].get(wanted[1 - axis])
        if sizes is None or not sizes[0] <= wanted[axis] <= sizes[-1]:
            return []
        total = np.zeros(len(m))
        for size, share in bracket(sizes, wanted[axis]):
            key = (size, k) if axis == 0 else (n, size)
            total += share * self._read(self.curves[key], m)
        return [total]

    def _corners(self, m: Floats, n: float, k: float) -> Floats:
        total = np.zeros(len(m))
        for own_n, share_n in bracket(self._columns, n):
            for own_k, share_k in bracket(self._depths, k):
                total += share_n * share_k * self._corner(m, own_n, own_k)
        return total

    def _corner(self, m: Floats, n: float, k: float) -> Floats:
        if (n, k) in self.curves:
            return self._read(self.curves[n, k], m)
        nearest = min(self.curves, key=lambda own: _distance(own, (n, k)))
        self.notes[f"gemm n={n:.0f} k={k:.0f}: scaled from n, k={nearest}"] += 1
        ratio = n * k / (nearest[0] * nearest[1])
        return self._read(self.curves[nearest], m) * ratio

    def _read(self, measured: Curve, m: Floats) -> Floats:
        if not measured.reaches(m).all():
            self.notes[f"gemm m above {measured.sizes[-1]:.0f}"] += 1
        return measured.at(m)

    @cached_property
    def _columns(self) -> Floats:
        return np.unique([n for n, _ in self.curves])

    @cached_property
    def _depths(self) -> Floats:
        return np.unique([k for _, k in self.curves])

    @cached_property
    def _lines(self) -> tuple[dict[float, Floats], dict[float, Floats]]:
        """The measured k of each n, and the measured n of each k, ascending."""
        found: tuple[dict[float, list[float]], dict[float, list[float]]] = ({}, {})
        for n, k in sorted(self.curves):
            found[0].setdefault(n, []).append(k)
            found[1].setdefault(k, []).append(n)
        by_n, by_k = ({x: np.array(sorted(y)) for x, y in one.items()} for one in found)
        return by_n, by_k


def gemm_table(columns: Columns, notes: Counter[str]) -> GemmTable:
    """The table of columns m, n, k and seconds."""
    curves = {
        (float(n), float(k)): curve(rows["m"], rows["seconds"])
        for (n, k), rows in groups(columns, ("n", "k")).items()
    }
    return GemmTable(curves, notes)


def _distance(own: Iterable[float], wanted: Iterable[float]) -> float:
    pairs = zip(own, wanted, strict=True)
    return sum(abs(math.log(a / b)) for a, b in pairs)
