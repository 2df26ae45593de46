"""A policy that asks to be asked ever so often is asked at every step, and no more."""

import pytest

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.engine import simulate
from evaluators.workloads.classes import CLASSES
from tests.problems.builders import trace_of


class Asked:
    def __init__(self, ask):
        self.ask = ask

    def admit_key(self, waiting, engine):
        return waiting.prompt_tokens * 1.0


@pytest.mark.parametrize("ask", [1e-13, 1e-12, 5e-324])
def test_a_period_below_a_picosecond_ends(ask):
    trace = trace_of([0.0, 1e-9, 2e-9], 20, 30)
    deployment, step_time = Deployment("d", 9, max_running=1), StepTime((10**10,))
    exam = Scenario("x", "train", 1.0, trace, deployment, step_time, CLASSES, "none")
    often, steps = simulate(exam, Asked(ask)), simulate(exam, Asked("iteration"))
    assert often.finished_ps.tolist() == steps.finished_ps.tolist()
    assert 0 < often.questions <= often.iterations
