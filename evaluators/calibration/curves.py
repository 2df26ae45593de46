"""Measured times by one size or by two: lines between sizes, and on beyond the last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Columns = Mapping[str, NDArray[np.generic]]
"""A table: arrays of one length under plain names; times are ``seconds``."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Times by one size, sizes ascending.

    Between sizes the time is on the line; beyond the last it goes on with the slope
    of the last doubling, never falling; below the first it is the first. Of a power
    (``is_power``) the line is one of logarithms, and beyond the last size the time over
    the size goes on with the slope of the last doubling, as what is quadratic does.
    """

    sizes: Floats
    seconds: Floats
    is_power: bool = False

    def at(self, sizes: Floats) -> Floats:
        """Seconds at each of ``sizes``, any shape."""
        if self.is_power:
            return self._power(sizes)
        inside = np.interp(sizes, self.sizes, self.seconds)
        over = np.maximum(0.0, sizes - self.sizes[-1])
        return np.asarray(inside + over * self.last_slope())

    def reaches(self, sizes: Floats) -> Bools:
        """Whether each size is no larger than what was measured."""
        return np.asarray(sizes <= self.sizes[-1])

    def cut(self, kept: Bools) -> "Curve":
        """The curve through the points kept, of which there must be one."""
        return Curve(self.sizes[kept], self.seconds[kept], self.is_power)

    def _power(self, sizes: Floats) -> Floats:
        logs, known = np.log(np.maximum(sizes, 1e-9)), np.log(self.sizes)
        inside = np.interp(logs, known, np.log(self.seconds))
        beyond = np.maximum(sizes, self.sizes[-1]) / self.sizes[-1]
        return np.asarray(np.exp(inside) * beyond * (1 + self._growth() * (beyond - 1)))

    def _growth(self) -> float:
        """By how much time over size grows, in parts, when the last size doubles."""
        before = self._half()
        if before == len(self.sizes) - 1:
            return 0.0
        rates = self.seconds / self.sizes
        run = 1 - self.sizes[before] / self.sizes[-1]
        return float(np.clip((1 - rates[before] / rates[-1]) / run, 0.0, 1.0))

    def _half(self) -> int:
        """Index of the last size that is at most half of the largest, or 0."""
        half = self.sizes[-1] / 2
        return max(0, int(np.searchsorted(self.sizes, half, "right")) - 1)

    def last_slope(self) -> float:
        """Seconds a size more takes beyond the last one, never negative."""
        last, before = self.sizes[-1], self._half()
        if self.sizes[before] == last:
            return 0.0
        rise = self.seconds[-1] - self.seconds[before]
        return max(0.0, float(rise / (last - self.sizes[before])))


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Times by a batch and a length: one curve by length for each measured batch.

    Beyond its longest, the line of a batch goes on at the rate at which the largest
    measured read streams; a power goes on as its own curve does.
    """

    batches: Floats
    curves: tuple[Curve, ...]

    def at(self, batch: Floats, length: Floats) -> Floats:
        """Seconds of each pair, linear in the batch between and beyond curves."""
        rows = np.stack([
            self._row(one, curve, length)
            for one, curve in zip(self.batches, self.curves, strict=True)
        ])
        if len(self.batches) == 1:
            return np.asarray(rows[0] * batch / self.batches[0])
        low, share = self._place(batch)
        columns = np.arange(len(batch))
        first, second = rows[low, columns], rows[low + 1, columns]
        return np.asarray(np.maximum(0.0, first + (second - first) * share))

    def _row(self, batch: float, curve: Curve, length: Floats) -> Floats:
        """A batch's curve, beyond its last length at the rate of the largest batch."""
        if curve.is_power:
            return curve.at(length)
        inside = curve.at(np.minimum(length, curve.sizes[-1]))
        over = np.maximum(0.0, length - curve.sizes[-1])
        return np.asarray(inside + over * batch * self._streaming())

    def _streaming(self) -> float:
        """Seconds that one length more takes of one sequence, where most was read.

        Small batches and short lengths are still in a cache, or do not fill a GPU; so
        this is the last slope of the curve with the largest batch times length.
        """
        ends = [c.sizes[-1] for c in self.curves]
        largest = int(np.argmax(self.batches * np.array(ends)))
        return self.curves[largest].last_slope() / float(self.batches[largest])

    def reaches(self, batch: Floats, length: Floats) -> Bools:
        """Whether both curves around each pair were measured up to it."""
        rows = np.stack([curve.reaches(length) for curve in self.curves])
        inside = np.asarray(batch <= self.batches[-1])
        if len(self.batches) == 1:
            return np.asarray(inside & rows[0])
        low, share = self._place(batch)
        columns = np.arange(len(batch))
        next_too = rows[low + 1, columns] | (share == 0)
        return np.asarray(inside & rows[low, columns] & next_too)

    def _place(self, batch: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Curve at or below each batch, and how far it is on to the next one."""
        low = np.searchsorted(self.batches, batch, "right") - 1
        low = np.clip(low, 0, len(self.batches) - 2)
        first, second = self.batches[low], self.batches[low + 1]
        share = np.maximum(0.0, (batch - first) / (second - first))
        return low, np.asarray(share)


def curve(
    sizes: NDArray[np.generic], seconds: NDArray[np.generic], is_power: bool = False
) -> Curve:
    """The curve through measured points, repeats of a size taken at their median."""
    found, where = np.unique(np.asarray(sizes, float), return_inverse=True)
    values = np.asarray(seconds, float)
    if len(found) == len(values):
        ordered = np.empty(len(found))
        ordered[where] = values
        return Curve(found, ordered, is_power)
    middle = [np.median(values[where == i]) for i in range(len(found))]
    return Curve(found, np.array(middle), is_power)


def sheet(columns: Columns, length: str, is_power: bool) -> Sheet:
    """The sheet of a table's rows by its columns batch and ``length``."""
    batches = np.unique(columns["batch"])
    curves = []
    for one in batches:
        rows = columns["batch"] == one
        sizes, seconds = columns[length][rows], columns["seconds"][rows]
        curves.append(curve(sizes, seconds, is_power))
    return Sheet(np.asarray(batches, float), tuple(curves))


def groups(columns: Columns, names: Sequence[str]) -> dict[tuple[int, ...], Columns]:
    """The rows of a table parted by the values of the columns ``names``."""
    keys = np.stack([np.asarray(columns[name], np.int64) for name in names], axis=1)
    found, where = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(where, kind="stable")
    edges = np.searchsorted(where[order], np.arange(len(found) + 1))
    parted = {}
    for index, key in enumerate(found.tolist()):
        rows = order[edges[index] : edges[index + 1]]
        parted[tuple(key)] = take(columns, rows)
    return parted


def thinned(n: int, every: int) -> Bools:
    """Of n sizes, all but each ``every``-th one inside: the ends are kept."""
    kept = np.asarray(np.arange(n) % every != every - 1)
    kept[[0, n - 1]] = True
    return kept


def take(columns: Columns, rows: NDArray[np.int64] | Bools) -> Columns:
    """The table's rows of those indices, or where a mask is true."""
    return {name: values[rows] for name, values in columns.items()}


def bracket(sizes: Floats, size: float) -> list[tuple[float, float]]:
    """Measured sizes around ``size`` with their shares; the ends stand for beyond."""
    if size <= sizes[0] or size >= sizes[-1]:
        return [(float(sizes[0] if size <= sizes[0] else sizes[-1]), 1.0)]
    high = int(np.searchsorted(sizes, size))
    if sizes[high] == size:
        return [(float(size), 1.0)]
    low, top = float(sizes[high - 1]), float(sizes[high])
    share = (size - low) / (top - low)
    return [(low, 1 - share), (top, share)]
