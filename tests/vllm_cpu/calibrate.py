"""The step time of this core with this model, from runs that are not ranked."""

from dataclasses import replace

import numpy as np

from evaluators.calibration.calibration_file import step_time
from evaluators.calibration.samples import Samples
from evaluators.calibration.step_time import StepTime
from evaluators.calibration.steps_fit import fit_samples
from evaluators.workloads.trace import PS_PER_S
from tests.vllm_cpu.campaign import Served
from tests.vllm_cpu.replay import replayed


def samples(runs: list[Served]) -> Samples:
    """Every step of the runs: its batch, as our engine sees it, and what it took."""
    batches, seconds = [], []
    for run in runs:
        batches += replayed(run.scenario, run.text, run.notes).batches
        seconds += [(n["ends_ps"] - n["at_ps"]) / PS_PER_S for n in run.notes]
    columns = np.array(batches, dtype=np.float64).T
    return Samples(*columns, np.array(seconds))


def fitted(runs: list[Served]) -> StepTime:
    """Of the runs whose purpose it is, and of no other.

    The least squares of relative errors lie below the mean where now and then a step
    takes much longer, as on a core that others use, too. A queue waits for the sum, so
    that is made right: by one factor of the same runs.
    """
    own = samples([run for run in runs if run.purpose == "fit"])
    first = step_time(fit_samples(own))
    missing = own.seconds.sum() / own.predicted_s(first).sum()
    return step_time(fit_samples(replace(own, seconds=own.seconds * missing)))
