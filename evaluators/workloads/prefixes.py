"""What the prompts of a trace have in common, and which request follows which."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Prefixes:
    """Contents of the full blocks of each request, as ids in prefix order.

    Request i holds ``ids[offsets[i]:offsets[i + 1]]``: block j of it covers the tokens
    from j * ``block_tokens`` on. Equal ids mean equal tokens and equal tokens before
    them, so every id has one predecessor: a tree. A chain covers the full blocks of the
    prompt, and goes on through the output where a later request continues it. Ids are
    0 or more and say nothing else.
    """

    block_tokens: int
    offsets: Ints
    ids: Ints

    def __post_init__(self) -> None:
        """Freeze the columns; raise ``ValueError`` for what cannot be a tree of ids."""
        for name in ("offsets", "ids"):
            column = np.array(getattr(self, name), dtype=np.int64)
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        if self.block_tokens < 1:
            raise ValueError(f"block_tokens is {self.block_tokens}; expected 1 or more")
        ends = self.offsets
        if ends[0] != 0 or ends[-1] != len(self.ids) or np.any(np.diff(ends) < 0):
            raise ValueError("prefix offsets must rise from 0 to the number of ids")
        if len(self.ids) and self.ids.min() < 0:
            raise ValueError(f"a block id is {int(self.ids.min())}; expected 0 or more")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def chain(self, row: int) -> Ints:
        """Block ids of a request, in prefix order."""
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Which request follows which, and after what wait; columns of shape (n,), int64.

    Request i arrives ``wait_ps[i]`` after request ``after[i]`` has finished, a row
    before it; -1 says that it arrives at its own ``arrived_ps``. ``is_tool`` is 1 where
    the wait is for a tool, 0 where a person thinks.
    """

    after: Ints
    wait_ps: Ints
    is_tool: Ints

    def __post_init__(self) -> None:
        """Freeze the columns; raise ``ValueError`` naming the first bad row."""
        for name in ("after", "wait_ps", "is_tool"):
            column = np.array(getattr(self, name), dtype=np.int64)
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        rows = np.arange(len(self.after))
        bad = np.flatnonzero((self.after >= rows) | (self.after < -1))
        if bad.size:
            row = int(bad[0])
            raise ValueError(
                f"session row {row} follows row {int(self.after[row])}; expected an "
                "earlier row, or -1"
            )
        if len(self.wait_ps) and self.wait_ps.min() < 0:
            raise ValueError("a session wait is negative; expected 0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class Priorities:
    """Priority of each tenant over time: ``levels[k, tenant]``, shape (n, n_tenants).

    Row k holds from k * ``period_ps`` on, the last row for ever. Higher is served
    first by those who look at it.
    """

    period_ps: int
    levels: Ints

    def __post_init__(self) -> None:
        """Freeze the levels; raise ``ValueError`` when there is nothing to hold."""
        levels = np.array(self.levels, dtype=np.int64)
        levels.flags.writeable = False
        object.__setattr__(self, "levels", levels)
        if self.period_ps < 1 or levels.ndim != 2 or not levels.size:
            raise ValueError(
                f"priorities of shape {levels.shape} every {self.period_ps} ps; "
                "expected (updates, tenants) and a period above 0"
            )

    def at(self, now_ps: int) -> Ints:
        """Level of each tenant at a time, shape (n_tenants,)."""
        level: Ints = self.levels[min(now_ps // self.period_ps, len(self.levels) - 1)]
        return level
