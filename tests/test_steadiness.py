"""A policy that decides by what the engine never told it is found by asking again."""

from adrs.candidate import Candidate, Trial
from adrs.isolation import STRICT
from adrs.pool import Pool
from adrs.steadiness import unsteady
from evaluators import problems
from evaluators.confine import Limits
from evaluators.problem import Exam
from tests.problems.builders import synthetic
from tests.sandbox_problem import HONEST

UNTOLD = """
import numpy as np

class Untold:
    def __init__(self):
        self.rng = np.random.default_rng()

    def admit_key(self, waiting, engine):
        return self.rng.random(len(waiting.id))
"""
POLICIES = {"honest": HONEST, "untold": UNTOLD}
"""As candidates past the gate, which would refuse the second for its generator."""
LIMITS = Limits(cpu_s=5, wall_s=60, memory_bytes=1 << 28)


def test_only_policies_that_answer_alike_twice_are_steady():
    problem = problems.load("scheduling")
    scenario = synthetic(30.0, n=40)
    exams = [Exam(scenario, problem.standard(scenario))]
    with Pool("scheduling", 1, STRICT, LIMITS) as pool:
        trials = [
            Trial(0, slot, Candidate(name, source, (), "test", ""), evaluation)
            for slot, (name, source) in enumerate(POLICIES.items())
            for evaluation in pool.evaluate([source], exams)
        ]
        assert [trial.evaluation.failure for trial in trials] == [None, None]
        found = unsteady(pool, trials, exams)
    assert found == ("untold",)
