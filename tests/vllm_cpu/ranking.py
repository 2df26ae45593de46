"""How well one order of schedulers agrees with another, and how well it could."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np

DRAWS = 2000
APART = 2.0
"""Standard errors by which two means must differ to be told apart."""

Cell = tuple[str, str]
"""A trace and a policy."""

Repeats = Mapping[Cell, np.ndarray]
"""Logarithms of a metric by cell, one of each repeat, shape (repeats,)."""


class Pair(NamedTuple):
    """Two policies on one trace: logarithms of the ratio of their metric."""

    trace: str
    one: str
    other: str
    measured: float
    predicted: float

    @property
    def is_right(self) -> bool:
        """Whether both say the same of which is larger."""
        return self.measured * self.predicted > 0


class Order(NamedTuple):
    """Pairs, and those ordered right."""

    pairs: int
    right: int

    @property
    def share(self) -> float:
        """Of the pairs, those ordered right."""
        return self.right / self.pairs if self.pairs else float("nan")

    @property
    def tau(self) -> float:
        """Kendall's tau: right less wrong pairs, over all."""
        return 2 * self.share - 1


def pairs(
    measured: Mapping[Cell, float], predicted: Mapping[Cell, float]
) -> list[Pair]:
    """Every two policies of each trace; both in logarithms."""
    found = []
    for (trace, one), (its, other) in combinations(measured, 2):
        if trace == its:
            a, b = (trace, one), (trace, other)
            ratios = measured[b] - measured[a], predicted[b] - predicted[a]
            found.append(Pair(trace, one, other, *ratios))
    return found


def order(found: Iterable[Pair]) -> Order:
    """Counts over pairs; where one side sees no difference, that is wrong."""
    right = [pair.is_right for pair in found]
    return Order(len(right), sum(right))


def noise(measured: Repeats) -> float:
    """Standard deviation of a single run's logarithm, pooled over all cells."""
    squares = sum(float(((x - x.mean()) ** 2).sum()) for x in measured.values())
    freedom = sum(len(x) - 1 for x in measured.values())
    return float(np.sqrt(squares / freedom))


def apart(found: Iterable[Pair], measured: Repeats) -> list[Pair]:
    """Those pairs whose means the repeats tell apart."""
    n_repeats = len(next(iter(measured.values())))
    least = APART * noise(measured) * np.sqrt(2 / n_repeats)
    return [pair for pair in found if abs(pair.measured) > least]


def interval(measured: Repeats, predicted: Mapping[Cell, float]) -> tuple[float, float]:
    """95 % interval of tau over what the repeats might have been.

    Bootstrap of residuals: what each run is off the mean of its cell, pooled over all
    cells as each has but a few, and widened for that (Davison and Hinkley 1997, 6.3).
    """
    rng = np.random.default_rng(0)
    off = np.concatenate([
        (x - x.mean()) * np.sqrt(len(x) / (len(x) - 1)) for x in measured.values()
    ])
    taus = []
    for _ in range(DRAWS):
        drawn = {
            c: float((x.mean() + rng.choice(off, len(x))).mean())
            for c, x in measured.items()
        }
        taus.append(order(pairs(drawn, predicted)).tau)
    low, high = np.quantile(taus, (0.025, 0.975))
    return float(low), float(high)


def ceiling(measured: Repeats) -> float:
    """Tau of a single repeat against the mean of the others, mean over repeats.

    What the engine itself reaches as its own predictor.
    """
    n_repeats = len(next(iter(measured.values())))
    taus = []
    for left_out in range(n_repeats):
        others = {c: float(np.delete(x, left_out).mean()) for c, x in measured.items()}
        own = {c: float(x[left_out]) for c, x in measured.items()}
        taus.append(order(pairs(others, own)).tau)
    return float(np.mean(taus))
