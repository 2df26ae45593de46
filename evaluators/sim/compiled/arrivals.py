"""Who comes next: a binary heap by time, then by row, as sessions add to it."""

from evaluators.sim.compiled.jit import compiled
from evaluators.sim.compiled.state import Arrivals, Record, Records


@compiled
def push(arrivals: Arrivals, at_ps: int, row: int) -> None:
    """A request will come."""
    coming, at = arrivals.coming, int(arrivals.used[0])
    arrivals.used[0] += 1
    while at > 0 and _before(at_ps, row, coming[(at - 1) // 2]):
        _move(coming, (at - 1) // 2, at)
        at = (at - 1) // 2
    coming[at].at_ps, coming[at].row = at_ps, row


@compiled
def pop(arrivals: Arrivals) -> int:
    """Row of the request that comes first, which is taken out."""
    coming, row = arrivals.coming, int(arrivals.coming[0].row)
    arrivals.used[0] -= 1
    n, at = int(arrivals.used[0]), 0
    last_ps, last_row = coming[n].at_ps, coming[n].row
    while 2 * at + 1 < n:
        below = 2 * at + 1
        other = below + 1
        if other < n and _before(coming[other].at_ps, coming[other].row, coming[below]):
            below = other
        if _before(last_ps, last_row, coming[below]):
            break
        _move(coming, below, at)
        at = below
    coming[at].at_ps, coming[at].row = last_ps, last_row
    return row


@compiled
def _before(at_ps: int, row: int, other: Record) -> bool:
    return bool(at_ps < other.at_ps or (at_ps == other.at_ps and row < other.row))


@compiled
def _move(coming: Records, source: int, target: int) -> None:
    coming[target].at_ps = coming[source].at_ps
    coming[target].row = coming[source].row
