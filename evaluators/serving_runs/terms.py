"""Of what the time of a token is made, by terms of the step time."""

from collections.abc import Mapping

import numpy as np

from evaluators.calibration.step_time import StepTime, entry
from evaluators.sim.run import Steps

TERMS = ("dense", "sequences", "attention", "prefill")
"""In steps that only decode: work by tokens (weights, collectives, host time of a
step), by sequences, and by contexts; and steps that prefill, as a whole."""

Shares = Mapping[str, float]


def shares(steps: Steps, step_time: StepTime, from_ps: int, to_ps: int) -> Shares:
    """Parts of the time between two tokens, by term; they add up to 1.

    Over the steps that begin within the window, each as often as requests decode in it.
    All 0 where nothing decoded.
    """
    inside = (steps.start_ps >= from_ps) & (steps.start_ps <= to_ps)
    decodes = steps.decodes[inside]
    weight = (steps.count[inside] * decodes).astype(np.float64)
    growth = steps.growth_ps[inside] * (steps.count[inside] - 1) / 2
    mean_ps = steps.first_ps[inside] + growth
    alone = steps.prefill_tokens[inside] == 0
    dense = np.minimum(_entries(step_time.tokens_ps, decodes), mean_ps)
    sequences = np.minimum(_entries(step_time.decodes_ps, decodes), mean_ps - dense)
    found = {
        "dense": float(weight @ (dense * alone)),
        "sequences": float(weight @ (sequences * alone)),
        "attention": float(weight @ ((mean_ps - dense - sequences) * alone)),
        "prefill": float(weight @ (mean_ps * ~alone)),
    }
    whole = sum(found.values())
    return {term: value / whole if whole else 0.0 for term, value in found.items()}


def _entries(table: tuple[int, ...], counts: np.ndarray) -> np.ndarray:
    most = int(counts.max(initial=0))
    values = np.array([entry(table, n) for n in range(most + 1)], dtype=np.float64)
    return np.asarray(values[counts])
