"""How sure a paired comparison is: bootstrap intervals of mean differences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evaluators.rng import stream

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
    Tibshirani 1993, ch. 13 and 8), always with the same draws. Raises ``ValueError``
    unless the three are equally long and not empty.
    """
    if not len(own) == len(other) == len(strata) or not len(own):
        raise ValueError(
            f"{len(own)} scores cannot be paired with {len(other)} and {len(strata)}"
        )
    difference = np.asarray(own, dtype=np.float64) - np.asarray(other)
    kinds = np.asarray(strata)
    total = np.zeros(RESAMPLES)
    for kind in np.unique(kinds):
        values = difference[kinds == kind]
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
