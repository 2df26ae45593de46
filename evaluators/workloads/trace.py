"""Requests that were drawn or recorded, as read-only columns in order of arrival."""

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

PS_PER_S = 1_000_000_000_000
"""Picoseconds in a second; simulated time is an integer number of picoseconds."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Columns of shape (n,), int64, sorted by ``arrived_ps``; row i is request i.

    ``output_tokens`` is the truth that no policy may see; ``predicted_tokens`` is what
    the declared predictor says of it. ``tenant`` and ``slo_class`` are indices from 0.
    """

    arrived_ps: Ints
    prompt_tokens: Ints
    output_tokens: Ints
    predicted_tokens: Ints
    tenant: Ints
    slo_class: Ints

    def __post_init__(self) -> None:
        """Freeze the columns; raise ``ValueError`` naming the first bad row."""
        for field in fields(self):
            column = np.array(getattr(self, field.name), dtype=np.int64)
            column.flags.writeable = False
            object.__setattr__(self, field.name, column)
            if column.shape != self.arrived_ps.shape:
                raise ValueError(
                    f"trace column {field.name} has shape {column.shape}; expected "
                    f"{self.arrived_ps.shape} as arrived_ps"
                )
        self._check_rows()

    def _check_rows(self) -> None:
        if len(self) == 0:
            raise ValueError("the trace is empty; expected at least one request")
        if np.any(np.diff(self.arrived_ps) < 0) or self.arrived_ps[0] < 0:
            raise ValueError("trace arrivals must be sorted and not before time 0")
        least = {
            "prompt_tokens": 1,
            "output_tokens": 1,
            "predicted_tokens": 1,
            "tenant": 0,
            "slo_class": 0,
        }
        for name, low in least.items():
            bad = np.flatnonzero(getattr(self, name) < low)
            if bad.size:
                row = int(bad[0])
                raise ValueError(
                    f"trace row {row}: {name} is {int(getattr(self, name)[row])}; "
                    f"expected at least {low}"
                )

    def __len__(self) -> int:
        return len(self.arrived_ps)

    @property
    def duration_s(self) -> float:
        """Seconds from time 0 to the last arrival."""
        return float(self.arrived_ps[-1]) / PS_PER_S

    @property
    def n_classes(self) -> int:
        """One more than the highest service class in the trace."""
        return int(self.slo_class.max()) + 1

    def scaled(self, factor: float) -> Self:
        """The same requests arriving ``factor`` times as fast."""
        if not factor > 0:
            raise ValueError(f"time scale is {factor}; expected above 0")
        arrived = np.rint(self.arrived_ps / factor).astype(np.int64)
        return replace(self, arrived_ps=arrived)
