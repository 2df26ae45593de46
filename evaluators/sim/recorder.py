"""Collects what happens in a simulation, and makes the ``Run`` of it at the end."""

from array import array

import numpy as np

from evaluators.sim.run import Decision, Run, Steps
from evaluators.views import Ints

STEP_COLUMNS = 7


class Recorder:
    """Append-only record of one simulation over ``rows`` requests.

    ``steps`` holds the columns of ``Steps`` row by row. ``segments`` holds (row, first,
    last): the request emitted a token in every step of these runs of steps. Its longest
    gap is the longest of them, looked up once at the end, so that nothing is kept per
    token. Both are flat, as a hundred thousand small tuples would be slow to make.
    """

    __slots__ = (
        "admitted_ps",
        "broken_gaps_ps",
        "decisions",
        "finished_ps",
        "first_token_ps",
        "longest_gap_ps",
        "preemptions",
        "rejected",
        "segments",
        "stall_ps",
        "steps",
    )

    def __init__(self, rows: int) -> None:
        self.admitted_ps = [-1] * rows
        self.first_token_ps = [-1] * rows
        self.finished_ps = [-1] * rows
        self.longest_gap_ps = [0] * rows
        self.preemptions = [0] * rows
        self.stall_ps = [0] * rows
        self.broken_gaps_ps: list[int] = []
        self.decisions: list[Decision] = []
        self.rejected: list[int] = []
        self.segments = array("q")
        self.steps = array("q")

    @property
    def n_runs(self) -> int:
        """Runs of steps so far."""
        return len(self.steps) // STEP_COLUMNS

    def admit(self, row: int, now_ps: int) -> None:
        """The request entered the running set."""
        if self.admitted_ps[row] < 0:
            self.admitted_ps[row] = now_ps
        self.decisions.append(Decision(now_ps, "admit", row))

    def preempt(self, row: int, now_ps: int) -> None:
        """The request lost its memory and waits again."""
        self.preemptions[row] += 1
        self.decisions.append(Decision(now_ps, "preempt", row))

    def resume(self, row: int, gap_ps: int) -> None:
        """A token came after a gap that is not one step long."""
        self.broken_gaps_ps.append(gap_ps)
        self.stall_ps[row] += gap_ps
        self.longest_gap_ps[row] = max(self.longest_gap_ps[row], gap_ps)

    def run(self, *, questions: int, peak_blocks: int, end_blocks: int) -> Run:
        """Everything recorded, as columns."""
        columns = np.array(self.steps).reshape(-1, STEP_COLUMNS).T.copy()
        steps = Steps(*columns)
        gaps = _column(self.longest_gap_ps)
        _lengthen(gaps, self.segments, steps)
        return Run(
            admitted_ps=_column(self.admitted_ps),
            first_token_ps=_column(self.first_token_ps),
            finished_ps=_column(self.finished_ps),
            longest_gap_ps=gaps,
            preemptions=_column(self.preemptions),
            stall_ps=_column(self.stall_ps),
            broken_gaps_ps=_column(self.broken_gaps_ps),
            steps=steps,
            decisions=tuple(self.decisions),
            rejected=tuple(self.rejected),
            questions=questions,
            peak_blocks=peak_blocks,
            end_blocks=end_blocks,
        )


def _column(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _lengthen(gaps: Ints, segments: "array[int]", steps: Steps) -> None:
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
