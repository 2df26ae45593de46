"""Quantiles of a run's times: of one value a request, and of every gap between tokens.

Nearest-rank: the least observed value that at least that share of the observations
does not exceed.
"""

from collections.abc import Sequence

import numpy as np

from evaluators.sim.run import Run, Steps
from evaluators.views import Floats, Ints
from evaluators.workloads.trace import PS_PER_S

PER_MILLE = {"p50": 500, "p90": 900, "p99": 990, "p999": 999}
MOST_LISTED = 1 << 14
"""Steps up to which their gaps are sorted one by one, which is the faster then."""


def quantile(values: Floats, per_mille: int) -> float:
    """Nearest-rank quantile of the values that are not nan; 0 of none."""
    known = np.sort(values[~np.isnan(values)])
    if not known.size:
        return 0.0
    return float(known[_rank(known.size, per_mille) - 1])


def summary(values: Floats) -> dict[str, float]:
    """Mean and quantiles of the values that are not nan; 0 of none."""
    known = values[~np.isnan(values)]
    if not known.size:
        return dict.fromkeys(("mean", *PER_MILLE), 0.0)
    found = {"mean": float(known.mean())}
    known.sort()
    for name, per_mille in PER_MILLE.items():
        found[name] = float(known[_rank(known.size, per_mille) - 1])
    return found


def gap_summary(run: Run) -> dict[str, float]:
    """Mean and exact quantiles of all gaps between two tokens of a request, seconds."""
    steps, broken = run.steps, np.sort(run.broken_gaps_ps)
    n_gaps = int(np.dot(steps.count, steps.gaps)) + broken.size
    if not n_gaps:
        return dict.fromkeys(("mean", *PER_MILLE), 0.0)
    grown = steps.growth_ps * (steps.count * (steps.count - 1) // 2)
    total = np.dot(steps.count * steps.first_ps + grown, steps.gaps.astype(np.float64))
    found = {"mean": float(total + broken.sum()) / n_gaps / PS_PER_S}
    ranks = [_rank(n_gaps, per_mille) for per_mille in PER_MILLE.values()]
    is_short = int(steps.count.sum()) <= MOST_LISTED
    ranked_ps = (_listed_gaps if is_short else _ranked_gaps)(steps, broken, ranks)
    for name, gap_ps in zip(PER_MILLE, ranked_ps, strict=True):
        found[name] = gap_ps / PS_PER_S
    return found


def _listed_gaps(steps: Steps, broken: Ints, ranks: Sequence[int]) -> list[int]:
    """The gaps of these ranks among all, smallest first, by sorting every step."""
    count = steps.count
    before = np.arange(int(count.sum())) - (count.cumsum() - count).repeat(count)
    of_steps = steps.first_ps.repeat(count) + steps.growth_ps.repeat(count) * before
    gaps_ps = np.concatenate((of_steps, broken))
    times = np.concatenate((steps.gaps.repeat(count), np.ones_like(broken)))
    order = gaps_ps.argsort()
    places = times[order].cumsum().searchsorted(ranks)
    found: list[int] = gaps_ps[order[places]].tolist()
    return found


def _ranked_gaps(steps: Steps, broken: Ints, ranks: Sequence[int]) -> list[int]:
    """The same, however many steps there are."""
    return [_ranked_gap(steps, broken, rank) for rank in ranks]


def _ranked_gap(steps: Steps, broken: Ints, rank: int) -> int:
    """The rank-th smallest gap, by bisection on its whole picoseconds."""
    last_ps = steps.first_ps + steps.growth_ps * (steps.count - 1)
    low = 0
    high = max(int(last_ps.max(initial=0)), int(broken.max(initial=0)))
    growth = np.maximum(steps.growth_ps, 1)
    while low < high:
        middle = (low + high) // 2
        behind = middle - steps.first_ps
        within = np.where(steps.growth_ps > 0, behind // growth + 1, steps.count)
        within = np.where(behind < 0, 0, np.minimum(within, steps.count))
        not_above = int(np.dot(within, steps.gaps))
        not_above += int(np.searchsorted(broken, middle, side="right"))
        low, high = (low, middle) if not_above >= rank else (middle + 1, high)
    return low


def _rank(n_values: int, per_mille: int) -> int:
    return max(1, -(-n_values * per_mille // 1000))
