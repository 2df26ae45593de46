"""The synthetic workload with tenants whose priorities change, as FastSwitch has."""

from dataclasses import dataclass, replace

import numpy as np

from evaluators.rng import stream
from evaluators.scenario import Half, Split, split_of
from evaluators.workloads.annotations import PREDICTION_ERROR
from evaluators.workloads.prefixes import Priorities
from evaluators.workloads.synthetic import Synthetic
from evaluators.workloads.synthetic import build as build_synthetic
from evaluators.workloads.trace import PS_PER_S, Trace

PATTERNS = ("random", "markov")
STAY = 0.8
"""Chance that a level of the Markov pattern stays what it is. Assumed: FastSwitch
(arXiv 2411.18424) has both patterns; we know of no number."""

BEYOND = 2
"""Levels are drawn for so many times the span of the arrivals."""


def build(
    pattern: str = "random",
    period_s: float = 10.0,
    levels: int = 4,
    tenants: int = 16,
    arrivals: str = "mixed",
    prediction_error: float = PREDICTION_ERROR,
) -> "Prioritised":
    """The synthetic workload; each tenant's level changes every ``period_s``.

    The ``pattern`` is "random": levels are drawn anew; or "markov": one stays with
    probability 0.8. Raises ``ValueError`` for anything else.
    """
    if pattern not in PATTERNS:
        raise ValueError(f"pattern is {pattern!r}; expected {', '.join(PATTERNS)}")
    if not 1e-9 <= period_s < float("inf"):
        raise ValueError(f"period_s is {period_s}; expected above 0")
    if levels < 1:
        raise ValueError(f"levels is {levels}; expected at least 1")
    requests = build_synthetic(
        tenants=tenants, arrivals=arrivals, prediction_error=prediction_error
    )
    return Prioritised(f"priorities-{pattern}", requests, pattern, period_s, levels)


@dataclass(frozen=True, slots=True)
class Prioritised:
    """Requests of another workload, and priorities of its tenants."""

    name: str
    requests: Synthetic
    pattern: str
    period_s: float
    levels: int

    @property
    def n_tenants(self) -> int:
        """See ``Workload``."""
        return self.requests.n_tenants

    @property
    def prediction_error(self) -> float:
        """See ``Workload``."""
        return self.requests.prediction_error

    def draw(
        self, part: Split | Half, seed: int, rate_per_s: float, n_requests: int
    ) -> Trace:
        """See ``Workload``; the rate does not change when priorities do."""
        trace = self.requests.draw(part, seed, rate_per_s, n_requests)
        rng = stream(seed, self.name, split_of(part), "priorities")
        return self._prioritised(trace, rng)

    def whole(self, seed: int) -> Trace:
        """A long draw of the train split."""
        rng = stream(seed, self.name, "train", "priorities")
        return self._prioritised(self.requests.whole(seed), rng)

    def _prioritised(self, trace: Trace, rng: np.random.Generator) -> Trace:
        levels = drawn_levels(
            self.pattern,
            (self.levels, self.n_tenants),
            int(BEYOND * trace.duration_s / self.period_s) + 1,
            rng,
        )
        period_ps = round(self.period_s * PS_PER_S)
        return replace(trace, priorities=Priorities(period_ps, levels))


def drawn_levels(
    pattern: str, shape: tuple[int, int], n_updates: int, rng: np.random.Generator
) -> np.ndarray:
    """Levels from 0, shape (n_updates, n_tenants); ``shape`` is (levels, tenants).

    More updates of the same stream begin with the same levels.
    """
    n_levels, n_tenants = shape
    drawn = rng.random((n_updates, 2, n_tenants))
    levels = (drawn[:, 0] * n_levels).astype(np.int64)
    if pattern == "markov":
        for update in range(1, n_updates):
            stays = drawn[update, 1] < STAY
            levels[update] = np.where(stays, levels[update - 1], levels[update])
    return levels
