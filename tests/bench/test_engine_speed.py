"""How fast the engine is, as ratios within one run; the seconds are only printed.

ADRS_DATA=... python -m pytest tests/bench/test_engine_speed.py -m bench -s
"""

import time
from collections.abc import Callable

import numpy as np
import pytest

from adrs.sandbox import Limits, close_zygote, evaluate
from evaluators.calibration.calibration import load
from evaluators.load import load_policy
from evaluators.problem import Exam, Standard
from evaluators.problems import load as load_problem
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.engine import simulate
from evaluators.sim.hooks import HOOKS
from evaluators.sim.reference import simulate_plainly
from evaluators.starvation import tails
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.workload import build_workload
from tests.calibration.data import data_folder

pytestmark = pytest.mark.bench

AGED = """
class AgedShortestPrompt:
    forgiveness = 400.0

    def admit_key(self, waiting, engine):
        age_s = engine.now_s - waiting.arrived_s
        return waiting.prompt_tokens - self.forgiveness * age_s
"""


def azure_hour(speed_up: float = 1.0, kv_blocks: int = 28_000) -> Scenario:
    """All 19,366 requests of the Azure 2023 conversation trace on an H100."""
    options = {"trace": "azure_llm_2023_conv", "data": str(data_folder("traces"))}
    calibration = load("llama31_8b_h100")
    return Scenario(
        "azure hour",
        "train",
        1.0,
        build_workload("azure", options).whole(0).scaled(speed_up),
        Deployment("h100", kv_blocks),
        calibration.step_time,
        CLASSES,
        calibration.name,
    )


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Least wall time of a few runs."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def test_the_azure_hour_in_process():
    hour, tight = azure_hour(), azure_hour(2.0, 4_000)
    policy = load_policy(AGED, HOOKS)
    fast = seconds(lambda: simulate(hour, None))
    plain = seconds(lambda: simulate_plainly(hour, None), times=1)
    asked = seconds(lambda: simulate(hour, policy))
    crowded = seconds(lambda: simulate(tight, policy))
    steps = len(simulate(hour, None).steps.count)
    print(
        f"\nbuilt-in rules {fast:.2f} s ({plain / fast:.0f}x the plain path), "
        f"Python policy {asked:.2f} s, 2x arrivals with 4,000 blocks {crowded:.2f} s"
    )
    assert plain / fast >= 8
    assert steps <= 3 * len(hour.trace)


def test_the_azure_hour_isolated():
    hour = azure_hour()
    problem = load_problem("scheduling")
    exam = Exam(hour, Standard(1.0, tails(hour, simulate(hour, None))))
    limits = Limits(cpu_s=60.0, wall_s=120.0, memory_bytes=512 << 20)
    policy = load_policy(AGED, problem.hooks)
    try:
        inside = seconds(lambda: simulate(hour, policy))
        isolated = seconds(lambda: evaluate(problem, AGED, exam, limits))
    finally:
        close_zygote()
    questions = simulate(hour, policy).questions
    extra_us = 1e6 * (isolated - inside) / questions
    print(f"\nisolated {isolated:.2f} s; {questions} questions, {extra_us:.0f} us each")
    assert isolated / inside < 6


def test_cost_grows_linearly_with_requests():
    workload = build_workload("synthetic", {})
    calibration = load("llama31_8b_h100")
    costs = []
    for requests in (2_000, 8_000, 32_000):
        scenario = Scenario(
            "growth",
            "train",
            1.0,
            workload.draw("train", 0, 5.0, requests),
            Deployment("h100", 28_000),
            calibration.step_time,
            CLASSES,
            calibration.name,
        )
        costs.append(seconds(lambda: simulate(scenario, None)) / requests)  # noqa: B023
    print("\nus a request:", np.round(np.array(costs) * 1e6, 1))
    assert costs[-1] < 2 * costs[0]
