"""The one constant that is fitted on serving runs: host time before a first token.

A request passes HTTP, a tokeniser and queues between processes before the engine knows
it, and its first token goes the same way back. No kernel table holds that.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

FITTED_ON = (
    "20260217-155451-llama-2-7b-tp1-codegen",
    "20260217-203421-llama-2-70b-hf-tp4-codegen",
)
"""The two runs that it is fitted on; all others test it."""

RECORDED_S = 0.0069
"""What the fit gives; used where the two runs are not at hand."""


class Host(NamedTuple):
    """Seconds before a first token, and what they come from."""

    seconds: float
    source: str


def fitted(gaps_s: Iterable[float]) -> Host:
    """The median of measured less simulated median time to the first token.

    ``gaps_s`` are those of the stages of the runs in ``FITTED_ON``; of none, what an
    earlier fit gave. Never below 0.
    """
    gaps = list(gaps_s)
    if not gaps:
        return Host(
            RECORDED_S, f"recorded: an earlier fit on {' and '.join(FITTED_ON)}"
        )
    seconds = max(0.0, float(np.median(gaps)))
    return Host(seconds, f"fitted on {len(gaps)} stages of {' and '.join(FITTED_ON)}")
