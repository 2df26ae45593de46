"""Samples: steps and what they took, whoever measured or summed them."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from evaluators.calibration.curves import Bools, Floats
from evaluators.calibration.step_time import Batch, StepTime

PS_PER_S = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Columns of equal length: the aggregates of ``Batch``, and ``seconds``."""

    prefill_tokens: Floats
    prefill_work: Floats
    decodes: Floats
    context_tokens: Floats
    longest_context: Floats
    prefills: Floats
    prefill_context: Floats
    seconds: Floats

    def __post_init__(self) -> None:
        """Raise ``ValueError`` when columns differ in length or hold no step."""
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(lengths.values())) != 1 or not len(self.seconds):
            raise ValueError(f"columns of samples have lengths {lengths}")
        if not (np.isfinite(self.seconds) & (self.seconds > 0)).all():
            raise ValueError("seconds of a sample must be positive numbers")

    def __len__(self) -> int:
        return len(self.seconds)

    def only(self, rows: Bools | NDArray[np.int64]) -> "Samples":
        """The samples of those rows."""
        return Samples(*(getattr(self, f.name)[rows] for f in fields(self)))

    def predicted_s(self, times: StepTime) -> Floats:
        """Seconds that a step time gives each of them."""
        columns = [getattr(self, name).astype(np.int64) for name in Batch._fields]
        steps = [Batch(*row) for row in np.stack(columns, 1).tolist()]
        return np.array([times.duration_ps(step) for step in steps]) / PS_PER_S

    def errors(self, times: StepTime) -> Floats:
        """Relative errors of a step time, signed."""
        return np.asarray(self.predicted_s(times) / self.seconds - 1)


def steps(
    prefills: Floats, length: Floats, prefix: Floats, decodes: Floats, context: Floats
) -> dict[str, Floats]:
    """Aggregates of steps with equal chunks and equal contexts, without their time."""
    return {
        "prefill_tokens": prefills * length,
        "prefill_work": prefills * length * (length + 2 * prefix),
        "decodes": decodes,
        "context_tokens": decodes * context,
        "longest_context": np.where(decodes > 0, context, 0.0),
        "prefills": prefills,
        "prefill_context": prefills * (length + prefix),
    }
