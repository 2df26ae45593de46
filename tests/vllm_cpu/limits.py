"""What keeps our simulator from the real engine's numbers, each part by itself.

Our engine takes the real one's decisions when it is told how long each step took
(``replay.py``), so whatever is left comes from how long steps take: what the machine
does differently from run to run, and what the step time has wrong.
"""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from evaluators.calibration.step_time import Batch, StepTime
from evaluators.load import load_policy
from evaluators.sim.engine import simulate
from evaluators.sim.hooks import HOOKS
from evaluators.sim.plain.engine import simulate_plainly
from tests.vllm_cpu.campaign import Served
from tests.vllm_cpu.measured import METRICS, logs, simulated
from tests.vllm_cpu.ranking import Cell, Repeats
from tests.vllm_cpu.replay import replayed


class Scaled:
    """Stands for a step time: another one's, times the slowness of a run."""

    def __init__(self, times: StepTime, slowness: float) -> None:
        self._times, self._slowness = times, slowness

    def duration_ps(self, batch: Batch) -> int:
        """As long as the other says, times the slowness."""
        return max(1, round(self._times.duration_ps(batch) * self._slowness))


class Steps(NamedTuple):
    """Steps of one run: what each took and what our step time says, shape (n,)."""

    taken_ps: np.ndarray
    predicted_ps: np.ndarray

    @property
    def slowness(self) -> float:
        """Of the whole run: what its steps took, over what we say of them."""
        return float(self.taken_ps.sum() / self.predicted_ps.sum())

    @property
    def errors(self) -> np.ndarray:
        """Relative errors of each step, signed."""
        return self.predicted_ps / self.taken_ps - 1


def steps(run: Served, times: StepTime) -> Steps:
    """The steps that the real engine formed, by our step time."""
    batches = replayed(run.scenario, run.text, run.notes).batches
    taken = [note["ends_ps"] - note["at_ps"] for note in run.notes]
    return Steps(np.array(taken), np.array([times.duration_ps(b) for b in batches]))


def predicted(runs: list[Served], times: StepTime) -> dict[str, dict[Cell, float]]:
    """Logarithms of each metric by cell, from our simulator."""
    found: dict[str, dict[Cell, float]] = {name: {} for name in METRICS}
    for run in runs:
        cell = run.trace, run.policy
        if cell not in found[METRICS[0]]:
            scenario = replace(run.scenario, step_time=times)
            own = simulate(scenario, load_policy(run.text, HOOKS))
            for name, value in logs(run, simulated(own)).items():
                found[name][cell] = value
    return found


def told(runs: list[Served], times: StepTime) -> dict[str, Repeats]:
    """The same of each run, told how slow the machine was in it; in order of rounds.

    One number of each run itself, so this is no prediction: what is left between it and
    the engine is what the step time has wrong of one batch against another, and how the
    machine's speed changes within a run.
    """
    found: dict[str, dict[Cell, list[float]]] = {name: {} for name in METRICS}
    for run in runs:
        scaled = Scaled(times, steps(run, times).slowness)
        scenario = replace(run.scenario, step_time=scaled)
        ours = simulate_plainly(scenario, load_policy(run.text, HOOKS))
        for name, value in logs(run, simulated(ours)).items():
            found[name].setdefault((run.trace, run.policy), []).append(value)
    return {
        name: {cell: np.array(values) for cell, values in cells.items()}
        for name, cells in found.items()
    }


def mean_step(runs: list[Served]) -> StepTime:
    """Each step takes the mean of the fitted ones: what no calibration would know."""
    fitted = [run for run in runs if run.purpose == "fit"]
    n_steps = sum(len(run.notes) for run in fitted)
    return StepTime(tokens_ps=(round(_taken_ps(fitted) / n_steps),))


def host_share(runs: list[Served]) -> float:
    """Of the time of all steps, what the scheduler and the policy took."""
    own = sum(
        note["formed_ps"] - note["at_ps"] + note["ends_ps"] - note["computed_ps"]
        for run in runs
        for note in run.notes
    )
    return own / _taken_ps(runs)


def stolen_share(runs: list[Served]) -> float:
    """Of the time of all steps, what other processes took from the engine's core."""
    own = sum(note["own_ps"] for run in runs for note in run.notes)
    return 1 - own / _taken_ps(runs)


def repeat_spread(runs: list[Served]) -> float:
    """How much a step is off the same step just before, median over decode steps.

    Both give the same requests a token each, at contexts one token longer. What changes
    more slowly than that, as a machine's speed does, does not show.
    """
    ratios = []
    for run in runs:
        for one, other in pairwise(run.notes):
            same = one["work"] == other["work"]
            if same and all(tokens == 1 for _, tokens in one["work"]):
                taken = [note["ends_ps"] - note["at_ps"] for note in (one, other)]
                ratios.append(abs(np.log(taken[1] / taken[0])))
    return float(np.median(ratios))


def _taken_ps(runs: list[Served]) -> int:
    return sum(n["ends_ps"] - n["at_ps"] for run in runs for n in run.notes)
