"""How much of a gain on train does not come back on fresh exams, and when to worry.

A policy that memorises a trace, or behaves where it knows the seed, gains on the exams
that everyone can draw and not on those that nobody could foresee. On a recording train
is an earlier time than validation, so a gain may also stay behind, or an alarm sound,
because traffic changed between the two: there, an alarm is a question, no proof.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from evaluators.views import Floats

RISK = 0.05
"""Chance of any false alarm over all policies that were tried."""


class Gap(NamedTuple):
    """Mean gains over another policy on train and on fresh exams.

    ``chance`` is that of gains on train that rank so high among all if there is nothing
    but luck in it; ``tried`` policies were there to choose from.
    """

    on_train: float
    on_fresh: float
    chance: float
    tried: int

    @property
    def is_alarming(self) -> bool:
        """Whether luck is out of the question, also for the best of all tried."""
        return self.chance < RISK / max(1, self.tried)


class Gains(NamedTuple):
    """Paired gains on some exams, with the load of each."""

    values: Sequence[float]
    regimes: Sequence[float]


def gap(train: Gains, fresh: Gains, tried: int) -> Gap:
    """Whether gains on train are too good to be true of the policy.

    Rank sums within each load, added up (van Elteren 1960), by their normal
    approximation with ties: a generator draws the exams of a load alike on both sides,
    so nothing is assumed of how gains are distributed. Those of a recording are windows
    of other times on each side, which may overlap within it: there, ``chance`` is only
    as good as the two times are alike. Loads that one side lacks say nothing.
    """
    excess = variance = 0.0
    for regime in sorted(set(train.regimes) & set(fresh.regimes)):
        own, other = _at(train, regime), _at(fresh, regime)
        found = _rank_sum(own, other)
        weight = 1 / (len(own) + len(other) + 1)
        excess += weight * found[0]
        variance += weight**2 * found[1]
    chance = 1.0 if variance <= 0 else NormalDist().cdf(-excess / variance**0.5)
    return Gap(_mean(train), _mean(fresh), chance, tried)


def _mean(side: Gains) -> float:
    return float(np.mean(side.values)) if side.values else 0.0


def _at(side: Gains, regime: float) -> Floats:
    values = np.asarray(side.values, dtype=np.float64)
    found: Floats = values[np.asarray(side.regimes) == regime]
    return found


def _rank_sum(own: Floats, other: Floats) -> tuple[float, float]:
    """Sum of ranks of ``own`` above what luck gives, and the variance of that sum."""
    both = np.concatenate((own, other))
    n = len(both)
    _, which, counts = np.unique(both, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts)
    ranks = (upto - (counts - 1) / 2)[which]
    excess = ranks[: len(own)].sum() - len(own) * (n + 1) / 2
    ties = float((counts**3 - counts).sum())
    spread = (n + 1) - ties / (n * (n - 1)) if n > 1 else 0.0
    return float(excess), len(own) * len(other) / 12 * spread
