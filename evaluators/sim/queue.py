"""Requests waiting for admission: first come first served, or ranked by a policy."""

from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

import numpy as np

from evaluators.views import Floats

INFINITY = float("inf")


class FirstCome:
    """The engine's own order: preempted requests first, then by arrival.

    ``members`` are the waiting rows, in no promised order.
    """

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: deque[int] = deque()

    def arrive(self, row: int) -> None:
        """A request joins at the end."""
        self.members.append(row)

    def again(self, row: int) -> None:
        """A preempted request joins at the front."""
        self.members.appendleft(row)

    def head(self) -> int:
        """Row to be admitted next."""
        return self.members[0]

    def is_held(self) -> bool:
        """Whether the head is held back while anything runs: never."""
        return False

    def pop(self) -> None:
        """The head was admitted."""
        self.members.popleft()

    def rows(self) -> Sequence[int]:
        """Waiting rows, as a policy is shown them."""
        return sorted(self.members)

    def rank(self, keys: Floats) -> None:
        """No policy ranks this queue."""
        raise AssertionError("a first-come queue is not ranked")


class Ranked:
    """A policy's order, held until the next ranking; ties go to the earlier arrival.

    Rows come in order of arrival, unless ``arrived_ps`` says by row when they did.
    """

    __slots__ = ("_arrival", "_held", "_order", "members")

    def __init__(self, arrived_ps: list[int] | None = None) -> None:
        self.members = array("q")
        self._arrival = (
            None if arrived_ps is None else (lambda row: (arrived_ps[row], row))
        )
        self._order: list[int] = []
        self._held = 0

    def arrive(self, row: int) -> None:
        """A request joins; it has no rank before the next ranking."""
        insort(self.members, row, key=self._arrival)

    again = arrive

    def head(self) -> int:
        """Row to be admitted next: of those unranked, the earliest arrival."""
        return self._order[-1] if self._order else self.members[0]

    def is_held(self) -> bool:
        """Whether the head is held back while anything runs."""
        return 0 < len(self._order) <= self._held

    def pop(self) -> None:
        """The head was admitted."""
        row = self._order.pop() if self._order else self.members[0]
        if self._arrival:
            found = self._arrival(row)
            at = bisect_left(self.members, found, key=self._arrival)
        else:
            at = bisect_left(self.members, row)
        del self.members[at]

    def rows(self) -> Sequence[int]:
        """Waiting rows in order of arrival, as a policy is shown them."""
        return self.members

    def rank(self, keys: Floats) -> None:
        """Take over the keys of ``rows()``: the lowest is next, inf is held back."""
        order = keys.argsort(kind="stable")[::-1]
        self._order = np.array(self.members)[order].tolist()
        self._held = int(np.count_nonzero(keys == INFINITY))

    def unrank(self) -> None:
        """Forget the ranks: a single request needs none."""
        self._order = []
