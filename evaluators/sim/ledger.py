"""What happens to each request, whichever engine serves it, and the ``Run`` of it."""

from collections.abc import Sequence

import numpy as np

from evaluators.scenario import Scenario
from evaluators.sim.identities import Identities
from evaluators.sim.recorder import Recorder, lengthen
from evaluators.sim.run import Run, Steps
from evaluators.views import Ints


class Ledger:
    """Times and counts of every request, one entry a row; -1 means not yet.

    Engines that share a trace share one ledger, as a request may be served by several;
    so it knows, too, by what ``identities`` their policies see the requests.
    """

    __slots__ = (
        "admitted_ps",
        "arrived_ps",
        "broken_gaps_ps",
        "finished_ps",
        "first_token_ps",
        "hit_tokens",
        "identities",
        "longest_gap_ps",
        "outlived",
        "preemptions",
        "rejected",
        "stall_ps",
    )

    def __init__(self, scenario: Scenario) -> None:
        rows = len(scenario.trace)
        self.identities = Identities(scenario)
        self.arrived_ps = [-1] * rows
        self.admitted_ps = [-1] * rows
        self.first_token_ps = [-1] * rows
        self.finished_ps = [-1] * rows
        self.longest_gap_ps = [0] * rows
        self.preemptions = [0] * rows
        self.stall_ps = [0] * rows
        self.hit_tokens = [0] * rows
        self.broken_gaps_ps: list[int] = []
        self.rejected: list[int] = []
        self.outlived: list[int] = []

    def arrive(self, row: int, at_ps: int) -> int:
        """A request came to an engine; when it came first, to whichever."""
        if self.arrived_ps[row] < 0:
            self.arrived_ps[row] = at_ps
            self.identities.arrive(row)
        return self.arrived_ps[row]

    def resume(self, row: int, gap_ps: int) -> None:
        """A token came after a gap that is not one step long."""
        self.broken_gaps_ps.append(gap_ps)
        self.stall_ps[row] += gap_ps
        self.longest_gap_ps[row] = max(self.longest_gap_ps[row], gap_ps)

    def run(
        self,
        recorders: Sequence[Recorder],
        *,
        questions: int,
        peak_blocks: int,
        end_blocks: int,
    ) -> Run:
        """Everything recorded, as columns; a recorder for each engine."""
        gaps = _column(self.longest_gap_ps)
        steps_of = tuple(recorder.columns() for recorder in recorders)
        for recorder, steps in zip(recorders, steps_of, strict=True):
            lengthen(gaps, recorder.segments, steps)
        decisions = (decision for r in recorders for decision in r.decisions)
        return Run(
            arrived_ps=_column(self.arrived_ps),
            admitted_ps=_column(self.admitted_ps),
            first_token_ps=_column(self.first_token_ps),
            finished_ps=_column(self.finished_ps),
            longest_gap_ps=gaps,
            preemptions=_column(self.preemptions),
            stall_ps=_column(self.stall_ps),
            hit_tokens=_column(self.hit_tokens),
            broken_gaps_ps=_column(self.broken_gaps_ps),
            steps=joined(steps_of),
            steps_of=steps_of,
            decisions=tuple(decisions),
            rejected=tuple(self.rejected),
            outlived=tuple(self.outlived),
            questions=questions,
            peak_blocks=peak_blocks,
            end_blocks=end_blocks,
        )


def joined(parts: Sequence[Steps]) -> Steps:
    """Steps of several engines one after the other, not in order of time."""
    if len(parts) == 1:
        return parts[0]
    names = Steps.__dataclass_fields__
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    return Steps(**columns)


def _column(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
