"""Requests that were drawn or recorded, as read-only columns in order of arrival."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaluators.workloads.prefixes import Prefixes, Priorities, Sessions
from evaluators.workloads.relations import earliest_ps, followers, taken

PS_PER_S = 1_000_000_000_000
"""Picoseconds in a second; simulated time is an integer number of picoseconds."""

FOREVER_PS = 1 << 100
"""A time that no simulation reaches."""

Ints = NDArray[np.int64]

COLUMNS = (
    "arrived_ps",
    "prompt_tokens",
    "output_tokens",
    "predicted_tokens",
    "tenant",
    "slo_class",
)
"""Names of the columns of a trace, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Columns of shape (n,), int64, sorted by ``arrived_ps``; row i is request i.

    ``output_tokens`` is the truth that no policy may see; ``predicted_tokens`` is what
    the declared predictor says of it. ``tenant`` and ``slo_class`` are indices from 0.
    ``prefixes`` says what prompts share, ``sessions`` which request follows which (its
    ``arrived_ps`` is then the earliest time at which it could), ``priorities`` how much
    each tenant matters when; None where nothing is known.
    """

    arrived_ps: Ints
    prompt_tokens: Ints
    output_tokens: Ints
    predicted_tokens: Ints
    tenant: Ints
    slo_class: Ints
    prefixes: Prefixes | None = None
    sessions: Sessions | None = None
    priorities: Priorities | None = None

    def __post_init__(self) -> None:
        """Freeze the columns; raise ``ValueError`` naming the first bad row."""
        for name in COLUMNS:
            column = np.array(getattr(self, name), dtype=np.int64)
            column.flags.writeable = False
            object.__setattr__(self, name, column)
            if column.shape != self.arrived_ps.shape:
                raise ValueError(
                    f"trace column {name} has shape {column.shape}; expected "
                    f"{self.arrived_ps.shape} as arrived_ps"
                )
        self._check_rows()
        self._check_relations()

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

    def _check_relations(self) -> None:
        rows = len(self)
        if self.prefixes is not None:
            if len(self.prefixes) != rows:
                raise ValueError(
                    f"prefixes are of {len(self.prefixes)} requests; expected {rows}"
                )
            lengths = np.diff(self.prefixes.offsets) * self.prefixes.block_tokens
            over = np.flatnonzero(lengths > self.prompt_tokens + self.output_tokens)
            if over.size:
                row = int(over[0])
                raise ValueError(
                    f"trace row {row}: its blocks hold {int(lengths[row])} tokens; "
                    "expected no more than prompt and output"
                )
        if self.sessions is not None and len(self.sessions.after) != rows:
            raise ValueError(
                f"sessions are of {len(self.sessions.after)} requests; expected {rows}"
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
        """The same requests arriving ``factor`` times as fast.

        Of sessions this moves the starts: waits stay, and rows may change places.
        """
        if not factor > 0:
            raise ValueError(f"time scale is {factor}; expected above 0")
        arrived = np.rint(self.arrived_ps / factor).astype(np.int64)
        if self.sessions is None:
            return replace(self, arrived_ps=arrived)
        arrived = earliest_ps(self.sessions, arrived)
        order = np.argsort(arrived, kind="stable")
        columns = {name: getattr(self, name)[order] for name in COLUMNS}
        columns["arrived_ps"] = arrived[order]
        chains = None if self.prefixes is None else taken(self.prefixes, order)
        sessions = followers(self.sessions, order)
        return replace(self, **columns, prefixes=chains, sessions=sessions)
