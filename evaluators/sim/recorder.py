"""Collects the steps that one engine takes and the decisions made for it."""

from array import array

import numpy as np

from evaluators.sim.run import Decision, Steps
from evaluators.views import Ints

STEP_COLUMNS = 7


class Recorder:
    """Append-only record of one engine.

    ``steps`` holds the columns of ``Steps`` row by row. ``segments`` holds (row, first,
    last): the request emitted a token in every step of these runs of steps. Its longest
    gap is the longest of them, looked up once at the end, so that nothing is kept per
    token. Both are flat, as a hundred thousand small tuples would be slow to make.
    """

    __slots__ = ("decisions", "segments", "steps")

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.segments = array("q")
        self.steps = array("q")

    @property
    def n_runs(self) -> int:
        """Runs of steps so far."""
        return len(self.steps) // STEP_COLUMNS

    def columns(self) -> Steps:
        """Every run of steps, as columns."""
        return Steps(*np.array(self.steps).reshape(-1, STEP_COLUMNS).T.copy())


def lengthen(gaps: Ints, segments: "array[int]", steps: Steps) -> None:
    """Raise ``gaps`` to the longest step of each request's segments.

    Range maxima from a sparse table: level j holds the maxima of 2**j neighbours
    (Bender and Farach-Colton 2000).
    """
    if not segments:
        return
    rows, first, last = np.array(segments).reshape(-1, 3).T
    level = steps.first_ps + steps.growth_ps * (steps.count - 1)
    span = last - first + 1
    depth = np.frexp(span.astype(np.float64))[1] - 1
    found = np.zeros(len(rows), dtype=np.int64)
    for j in range(int(depth.max()) + 1):
        if j:
            half = 1 << (j - 1)
            level = np.maximum(level[:-half], level[half:])
        at = depth == j
        found[at] = np.maximum(level[first[at]], level[last[at] + 1 - (1 << j)])
    np.maximum.at(gaps, rows, found)
