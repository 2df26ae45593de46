"""What users of a run saw, by the real engine's notes or by our simulator."""

from typing import NamedTuple

import numpy as np

from evaluators.quantiles import summary
from evaluators.sim.run import Run
from evaluators.workloads.trace import PS_PER_S
from tests.vllm_cpu.campaign import Served
from tests.vllm_cpu.ranking import Cell, Repeats

METRICS = ("e2e mean", "e2e p99", "ttft mean", "ttft p99")
SHOWN = ("mean", "p99")


class Times(NamedTuple):
    """When each request had its first and its last token, shape (n,), picoseconds."""

    first_ps: np.ndarray
    finished_ps: np.ndarray


def noted(run: Served) -> Times:
    """What the real engine noted."""
    rows = len(run.scenario.trace)
    times = Times(np.full(rows, -1), np.full(rows, -1))
    for note in run.notes:
        times.first_ps[note["first"]] = note["ends_ps"]
        times.finished_ps[note["finished"]] = note["ends_ps"]
    return times


def simulated(run: Run) -> Times:
    """What our simulator says."""
    return Times(run.first_token_ps, run.finished_ps)


def logs(run: Served, times: Times) -> dict[str, float]:
    """Logarithms of the seconds from arrival to the last and to the first token."""
    arrived_ps = run.scenario.trace.arrived_ps
    found = {}
    for name, at_ps in (("e2e", times.finished_ps), ("ttft", times.first_ps)):
        assert (at_ps >= arrived_ps).all()
        shown = summary((at_ps - arrived_ps) / PS_PER_S)
        found |= {f"{name} {which}": float(np.log(shown[which])) for which in SHOWN}
    return found


def of_runs(runs: list[Served]) -> dict[str, Repeats]:
    """Logarithms of each metric, by cell, in the order of the rounds."""
    found: dict[str, dict[Cell, list[float]]] = {name: {} for name in METRICS}
    for run in runs:
        for name, value in logs(run, noted(run)).items():
            found[name].setdefault((run.trace, run.policy), []).append(value)
    return {
        name: {cell: np.array(values) for cell, values in cells.items()}
        for name, cells in found.items()
    }
