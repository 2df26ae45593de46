"""Small scenarios for the simulator's tests, a test states only what it is about."""

import numpy as np

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment, Scenario
from evaluators.workloads.trace import Trace
from tests.sim.fuzzed import CLASSES

SIMPLE = StepTime(tokens_ps=(10, 11))
"""A step takes 10 ps and one more for each token."""


def served(
    requests: list[tuple[int, int, int]],
    *,
    step_time: StepTime = SIMPLE,
    kv_blocks: int = 100,
    **deployment: int | bool,
) -> Scenario:
    """A scenario of (arrival in ps, prompt, output tokens); a block is one token."""
    arrived, prompt, output = np.array(requests).T
    zeros = np.zeros(len(requests))
    trace = Trace(arrived, prompt, output, output, zeros, zeros)
    sizes = {"block_tokens": 1, "max_running": 8, "max_step_tokens": 64} | deployment
    where = Deployment("small", kv_blocks, **sizes)
    return Scenario("small", "train", 1.0, trace, where, step_time, CLASSES, "made up")
