"""What attacks on the score are tried on, and what honest service scores there."""

import functools
from dataclasses import replace

import numpy as np

from evaluators.calibration.copy_curve import load_curve
from evaluators.calibration.shapes import MODELS
from evaluators.problem import Exam
from evaluators.problems import load
from tests import sandbox_problem
from tests.problems.builders import CALIBRATION, on_h100, synthetic, trace_of
from tests.problems.small import small
from tests.sim.fuzzed import fuzzed_scenario

CROWDED, WIRED = "a few long prompts among short ones", "a fleet with a wire"


@functools.cache
def sat(on):
    """The problem and the exam of that name; the smallest without a name."""
    if on in ("", "tiny"):
        return sandbox_problem.PROBLEM, sandbox_problem.exam()
    if on == WIRED:
        problem = load("load_balancing")
        return problem, _of(problem, wired(small("load_balancing").scenario))
    if on in SCENARIOS:
        problem = load("scheduling")
        return problem, _of(problem, replace(SCENARIOS[on](), name=on))
    one = small(on)
    scenario = replace(one.scenario, name=on)
    return load(on), one._replace(scenario=scenario)


@functools.cache
def plain_score(on):
    """What the engine's own rules score there, without any policy."""
    problem, one = sat(on)
    return problem.evaluate(None, one.scenario, one.standard).score


def wired(scenario):
    """The same fleet with a network over which requests may move."""
    kv_bytes = MODELS[CALIBRATION.model].kv_token_bytes
    fleet = replace(scenario.fleet, wire=load_curve("nodes_h100"), kv_bytes=kv_bytes)
    return replace(scenario, fleet=fleet, name=WIRED)


def crowded():
    """Three requests a second with a long prompt, fifty with a short one."""
    arrived_s = np.concatenate([np.linspace(0, 20, 960), np.linspace(0, 20, 50)])
    prompt = np.repeat([900, 5000], [960, 50])
    order = np.argsort(arrived_s, kind="stable")
    return on_h100(trace_of(arrived_s[order], prompt[order], 2))


def _of(problem, scenario):
    return Exam(scenario, problem.standard(scenario))


SCENARIOS = {
    "a handful": lambda: fuzzed_scenario(16),
    CROWDED: crowded,
    "overload": lambda: synthetic(20.0, n=300),
}
