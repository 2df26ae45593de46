"""Five schedulers and more in the real vLLM engine on a core, and in our simulator.

Needs an environment of its own, and minutes of a core: see README.md in this folder.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.differential.vllm_python import needs_vllm
from tests.vllm_cpu import limits
from tests.vllm_cpu.calibrate import fitted
from tests.vllm_cpu.campaign import Served, served
from tests.vllm_cpu.measured import METRICS, logs, noted, of_runs, simulated
from tests.vllm_cpu.policies import RANKED, VARIED
from tests.vllm_cpu.replay import first_difference, first_other_choice, replayed
from tests.vllm_cpu.report import agreement, report

pytestmark = [pytest.mark.slow, needs_vllm]

ROUNDS = int(os.environ.get("ADRS_VLLM_ROUNDS", "2"))
FOLDER = os.environ.get("ADRS_VLLM_RUNS", "")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Served]:
    folder = Path(FOLDER) if FOLDER else tmp_path_factory.mktemp("vllm_cpu")
    folder.mkdir(parents=True, exist_ok=True)
    return served(folder, ROUNDS)


@pytest.fixture(scope="module")
def times(runs):
    return fitted(runs)


def of(runs, purpose):
    return [run for run in runs if run.purpose == purpose]


def test_told_how_long_each_step_took_ours_takes_every_decision_of_the_engine(runs):
    for run in runs:
        ours = replayed(run.scenario, run.text, run.notes)
        assert first_difference(ours, run.notes) is None
        assert logs(run, simulated(ours.run)) == logs(run, noted(run))


def test_where_all_come_at_once_the_engine_decides_as_ours_whatever_a_step_takes(runs):
    together = of(runs, "decide")
    for run in together:
        assert first_other_choice(run.scenario, run.text, run.notes) is None
    assert {run.policy for run in together} == {*RANKED, "varied"}
    assert sum(len(note["preempted"]) for run in together for note in run.notes) >= 5


def test_the_comparison_notices_another_policy(runs):
    for run in of(runs, "decide"):
        other = VARIED if run.policy != "varied" else RANKED["fcfs"]
        assert first_other_choice(run.scenario, other, run.notes) is not None


def test_nothing_is_fitted_to_what_is_ranked_or_held_out(runs):
    names = {p: {run.trace for run in of(runs, p)} for p in ("fit", "hold out", "rank")}
    assert not names["fit"] & (names["hold out"] | names["rank"])


def test_steps_of_runs_that_were_not_fitted_take_about_as_long_as_predicted(
    runs, times
):
    errors = [limits.steps(run, times).errors for run in of(runs, "hold out")]
    assert np.median(np.abs(np.concatenate(errors))) < 0.2


def test_our_simulator_orders_the_schedulers_as_the_engine_does(runs, times):
    print(report(runs, times))
    ranked = of(runs, "rank")
    measured, predicted = of_runs(ranked), limits.predicted(ranked, times)
    for metric in METRICS:
        _, certain = agreement(measured[metric], predicted[metric])
        assert certain.pairs >= 20
        assert certain.tau >= (0.9 if "mean" in metric else 0.7)


def test_a_step_time_that_knows_only_the_mean_step_orders_them_worse(runs, times):
    ranked = of(runs, "rank")
    measured, flat = of_runs(ranked), limits.predicted(ranked, limits.mean_step(runs))
    ours = limits.predicted(ranked, times)
    for metric in METRICS:
        better = agreement(measured[metric], ours[metric])[0].tau
        assert agreement(measured[metric], flat[metric])[0].tau < better
