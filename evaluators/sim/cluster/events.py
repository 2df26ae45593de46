"""What is to happen to a fleet, in the order in which it does."""

from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from typing import Any

from evaluators.sim.cluster.replica import NEVER


class Kind(IntEnum):
    """Kinds of events, in the order in which they happen at equal times."""

    LOSS = 0
    BACK = 1
    MOVE = 2
    PULL = 3
    PROBE = 4
    ARRIVAL = 5
    TIMER = 6


Event = tuple[int, int, int, int, Callable[..., None], tuple[Any, ...]]
"""(time, kind, index of its replica or request, number, what to call, arguments)."""


class Events:
    """Events by (time, kind, index); the number tells apart what is equal in these."""

    def __init__(self) -> None:
        self._heap: list[Event] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_ps(self) -> int:
        """Time of the next event; NEVER without one."""
        return self._heap[0][0] if self._heap else NEVER

    def push(
        self,
        at_ps: int,
        kind: Kind,
        index: int,
        handle: Callable[..., None],
        *further: object,
    ) -> None:
        """Have ``handle`` called with the time, the index and what follows."""
        number = next(self._numbers)
        heappush(self._heap, (at_ps, kind, index, number, handle, further))

    def happen(self) -> None:
        """Let the next event happen."""
        at_ps, _, index, _, handle, further = heappop(self._heap)
        handle(at_ps, index, *further)
