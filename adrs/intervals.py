"""How sure a paired comparison is: bootstrap intervals of mean differences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluators.rng import stream
from evaluators.views import Floats

RESAMPLES = 10_000
COVERAGE = 0.95


class Gain(NamedTuple):
    """Mean of paired differences of score with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def gain(own: Sequence[float], other: Sequence[float], strata: Sequence[float]) -> Gain:
    """How much ``own`` scores above ``other``, paired by position.

    Percentile bootstrap over the pairs, resampled within each stratum (Efron and
    Tibshirani 1993, ch. 13), always with the same draws. As few pairs spread too
    little, differences are widened by sqrt(n / (n - 1)) and by how much wider Student's
    t is than the normal (Hesterberg 2015, sec. 3.2). Strata are ignored when one has a
    single pair; a single pair in all says nothing: [-1, 1]. Raises ``ValueError``
    unless the three are equally long and not empty.
    """
    if not len(own) == len(other) == len(strata) or not len(own):
        raise ValueError(
            f"{len(own)} scores cannot be paired with {len(other)} and {len(strata)}"
        )
    difference = np.asarray(own, dtype=np.float64) - np.asarray(other)
    if len(difference) == 1:
        return Gain(float(difference[0]), -1.0, 1.0)
    kinds = np.asarray(strata, dtype=np.float64)
    if np.unique(kinds, return_counts=True)[1].min() == 1:
        kinds = np.zeros(len(kinds))
    total = np.zeros(RESAMPLES)
    heavier = _heavier(len(difference) - len(np.unique(kinds)))
    for kind in np.unique(kinds):
        values = _widened(difference[kinds == kind], heavier)
        draws = stream(0, "bootstrap", float(kind)).integers(
            len(values), size=(RESAMPLES, len(values))
        )
        total += values[draws].sum(axis=1)
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(total / len(difference), (tail, 1 - tail))
    return Gain(float(difference.mean()), float(low), float(high))


def gains_by(
    own: Sequence[float], other: Sequence[float], strata: Sequence[float]
) -> dict[float, Gain]:
    """The gain within each stratum, in ascending order of strata."""
    found = {}
    for kind in sorted(set(strata)):
        at = [i for i, stratum in enumerate(strata) if stratum == kind]
        pairs = [own[i] for i in at], [other[i] for i in at], [kind] * len(at)
        found[kind] = gain(*pairs)
    return found


def _widened(values: Floats, heavier: float) -> Floats:
    """The values, further from their mean."""
    n, mean = len(values), values.mean()
    widened: Floats = mean + (values - mean) * (heavier * np.sqrt(n / (n - 1)))
    return widened


def _heavier(freedom: int) -> float:
    """Student's t quantile over the normal one at ``COVERAGE``, by Fisher's series."""
    z = 1.959964
    first = (z**2 + 1) / (4 * freedom)
    second = (5 * z**4 + 16 * z**2 + 3) / (96 * freedom**2)
    return 1 + first + second
