"""What decodes take longer beside a prefill, of steps where both were measured."""

from dataclasses import replace

import numpy as np

from evaluators.calibration.curves import Bools
from evaluators.calibration.fit import least_squares, six_digits
from evaluators.calibration.samples import PS_PER_S, Samples
from evaluators.calibration.step_time import StepTime

HELD_OUT = 3
"""For an error, every third step is left out of the fit."""

BATCHES = ((1, 8), (9, 64), (65, 512))
"""Decodes beside a prefill by which the error is told, as that of decodes alone."""


def fit_beside(together: Samples, times: StepTime) -> dict[str, int]:
    """Prices by name of what the steps take more than ``times`` give them.

    One price a decode and one a context token of the decodes, least squares of the
    error relative to the whole step with no price below zero. Those that ``held_out``
    gives are not looked at.
    """
    alone = replace(times, beside_decode_ps=0, beside_context_ps=0)
    seen = together.only(~_is_held_out(together))
    step_ps = seen.seconds * PS_PER_S
    more_ps = step_ps - seen.predicted_s(alone) * PS_PER_S
    columns = np.stack([seen.decodes, seen.context_tokens], 1)
    decode, context = least_squares(columns, more_ps, step_ps).tolist()
    return {
        "beside_decode_ps": six_digits(decode),
        "beside_context_ps": six_digits(context),
    }


def held_out(together: Samples) -> dict[str, Samples]:
    """The steps that ``fit_beside`` does not see, by how many decode in them."""
    found = {}
    for low, high in BATCHES:
        is_within = (together.decodes >= low) & (together.decodes <= high)
        rows = _is_held_out(together) & is_within
        if rows.any():
            found[f"batch {low}-{high}"] = together.only(rows)
    return found


def _is_held_out(together: Samples) -> Bools:
    return np.asarray(np.arange(len(together)) % HELD_OUT == HELD_OUT - 1)
