"""What repeated timings of one thing come to: median, quantiles, how many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of a repeated measurement: the median and the tenth and ninetieth."""

    p50: float
    p10: float
    p90: float
    repeats: int


def spread(seconds: Sequence[float]) -> Spread:
    """Quantiles of the timings, interpolated linearly.

    Raises ``ValueError`` when there are none, or any is no positive number: a clock
    that went wrong is no measurement.
    """
    times = np.asarray(seconds, float)
    if not len(times):
        raise ValueError("no timings; expected at least one")
    wrong = times[~(np.isfinite(times) & (times > 0))]
    if len(wrong):
        raise ValueError(f"a timing is {wrong[0]} s; expected a positive number")
    p10, p50, p90 = (float(q) for q in np.quantile(times, (0.1, 0.5, 0.9)))
    return Spread(p50, p10, p90, len(times))


def repeats(estimate_s: float, budget_s: float, least: int, most: int) -> int:
    """How often to repeat what takes about so long, within a budget if it can be."""
    if estimate_s <= 0:
        return most
    return max(least, min(most, int(budget_s / estimate_s)))
