"""How fast the simulator is: prints the table of evaluators/README.md, gates ratios.

ADRS_DATA=... python -m pytest tests/bench/test_engine_speed.py -m bench -s
"""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

from adrs.sandbox import Limits, evaluate
from adrs.workers import executor, shut_down
from adrs.zygote import same_addresses
from evaluators.calibration.calibration import load
from evaluators.capacity import ATTAINED, in_objectives
from evaluators.evaluation import Outcome
from evaluators.fleet import Fleet, Member
from evaluators.load import load_policy
from evaluators.problem import Exam, Standard
from evaluators.problems import load as load_problem
from evaluators.problems.scheduling import Scheduling
from evaluators.scenario import Deployment, Scenario
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.compiled.coverage import covers, is_installed
from evaluators.sim.compiled.serve import serve
from evaluators.sim.engine import simulate
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.sim.run import Run
from evaluators.starvation import tails
from evaluators.workloads.classes import CLASSES
from evaluators.workloads.trace import Trace
from evaluators.workloads.workload import build_workload
from tests.calibration.data import data_folder

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]

AGED = """
class AgedShortestPrompt:
    forgiveness = 400.0

    def admit_key(self, waiting, engine):
        age_s = engine.now_s - waiting.arrived_s
        return waiting.prompt_tokens - self.forgiveness * age_s
"""


class Nothing:
    """A policy without a hook: the built-in rules, which no core takes for them."""


def on_h100(trace: Trace, kv_blocks: int = 28_000, **deployment: bool) -> Scenario:
    """The trace served by Llama 3.1 8B on an H100."""
    calibration = load("llama31_8b_h100")
    return Scenario(
        "speed",
        "train",
        1.0,
        trace,
        Deployment("h100", kv_blocks, **deployment),
        calibration.step_time,
        CLASSES,
        calibration.name,
    )


@lru_cache(maxsize=1)
def azure_trace() -> Trace:
    """All 19,366 requests of an hour of the Azure 2023 conversation trace."""
    options = {"trace": "azure_llm_2023_conv", "data": str(data_folder("traces"))}
    return build_workload("azure", options).whole(0)


def azure_hour(speed_up: float = 1.0, kv_blocks: int = 28_000) -> Scenario:
    """The hour, played so many times as fast."""
    return on_h100(azure_trace().scaled(speed_up), kv_blocks)


def mooncake() -> Scenario:
    """All requests of Mooncake's conversation trace, with a prefix cache."""
    options = {"trace": "mooncake_conversation", "data": str(data_folder("traces"))}
    trace = build_workload("mooncake", options).whole(0)
    return on_h100(trace, prefix_caching=True)


def drawn(requests: int, rate_per_s: float) -> Scenario:
    """Synthetic requests at a rate, of which an H100 bears about 6 a second."""
    trace = build_workload("synthetic", {}).draw("train", 0, rate_per_s, requests)
    return on_h100(trace)


def fleet_of(scenario: Scenario, members: int, rule: str = "round_robin") -> Scenario:
    """The scenario served by so many of its engines."""
    member = Member(scenario.deployment, scenario.step_time)
    return replace(scenario, fleet=Fleet((member,) * members, rule=rule))


def in_python(scenario: Scenario) -> Run:
    """What the engine by aggregates makes of it, not compiled."""
    if scenario.fleet:
        return simulate_fleet(scenario, Nothing(), fast)
    return simulate(scenario, Nothing())


def by_default(scenario: Scenario) -> Run:
    """What is fastest here."""
    return serve(scenario) if covers(scenario, None) else in_python(scenario)


def seconds(
    work: Callable[[], object],
    times: int = 3,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Least time of a few runs: of this process, so that a busy machine matters less.

    With ``time.perf_counter`` as clock, wall time.
    """
    taken = []
    for _ in range(times):
        started = clock()
        work()
        taken.append(clock() - started)
    return min(taken)


def speed_up_at_capacity() -> float:
    """How much faster the hour may be played so that 90 % keep their objectives."""
    low, high = 0.25, 16.0
    while high / low > 1.02:
        middle = (low * high) ** 0.5
        hour = azure_hour(middle)
        kept = in_objectives(hour, by_default(hour)).mean()
        low, high = (middle, high) if kept >= ATTAINED else (low, middle)
    return low


def cases() -> dict[str, Scenario]:
    """What the table times in process."""
    hour, factor = azure_hour(), speed_up_at_capacity()
    tight, least = azure_hour(2.0, 4096), "least_outstanding"
    cached, busy = mooncake(), azure_hour(1.2 * factor)
    return {
        "Azure hour, 1 replica": hour,
        "4 replicas, round robin": fleet_of(hour, 4),
        "4 replicas, least outstanding": fleet_of(hour, 4, least),
        "16 replicas, least outstanding": fleet_of(hour, 16, least),
        f"at 1.2x of capacity ({1.2 * factor:.2f}x arrivals)": busy,
        "2x arrivals, 4,096 blocks": tight,
        "Mooncake conversation, prefix caching, 4 replicas": fleet_of(cached, 4),
        "the same, least outstanding": fleet_of(cached, 4, least),
    }


def test_in_process():
    columns = "case requests iterations compiled requests/s iterations/s Python plain"
    print("\nCPU seconds of one process")
    print("\n| " + " | ".join(columns.split()) + " |\n|---" + "|---:" * 7 + "|")
    for name, scenario in cases().items():
        run, n = by_default(scenario), len(scenario.trace)
        few = 1 if scenario.deployment.prefix_caching else 3
        python = seconds(lambda s=scenario: in_python(s), few)
        cells = [f"{n:,}", f"{run.iterations:,}", "-", "-", "-"]
        if is_installed():
            taken = seconds(lambda s=scenario: serve(s), times=5)
            cells[2] = f"{taken:.3f} s"
            cells[3:] = [f"{n / taken:,.0f}", f"{run.iterations / taken:,.0f}"]
            assert taken < python, name
        plain = "-"
        if not scenario.fleet:
            spent = seconds(lambda s=scenario: simulate_plainly(s, None), times=1)
            plain = f"{spent / python:.0f}x"
            assert spent / python >= 5, name
        print("| " + " | ".join([name, *cells, f"{python:.2f} s", plain]) + " |")
    hour = azure_hour()
    assert len(in_python(hour).steps.count) <= 3 * len(hour.trace)


class ServedOnly(Scheduling):
    """The problem without its judging: what serving alone takes."""

    def evaluate(self, policy, scenario, standard):
        run = self.serve(policy, scenario)
        return Outcome(scenario.name, 1.0, 1.0, {"questions": float(run.questions)})


class Cost(NamedTuple):
    """Wall seconds of serving under a policy, and how many questions it was asked."""

    isolated: float
    judged: float
    inside: float
    questions: int


def cost_of(hour: Scenario) -> Cost:
    """What a Python policy costs, in this process and in one of its own."""
    problem = load_problem("scheduling")
    policy = load_policy(AGED, problem.hooks)
    limits, wall = Limits(60.0, 120.0, 512 << 20), time.perf_counter
    exam = Exam(hour, Standard(1.0, tails(hour, by_default(hour))))
    inside = seconds(lambda: simulate(hour, policy), 5, wall)
    isolated, judged = (
        seconds(lambda p=p: evaluate(p, AGED, exam, limits), 5, wall)
        for p in (ServedOnly(), problem)
    )
    return Cost(isolated, judged, inside, simulate(hour, policy).questions)


def test_isolated():
    """As a campaign has it: in a worker of a pool, which keeps to a core."""
    print(
        "\n| a Python policy | isolated | and judged | in process | questions | each |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    names = {"Azure hour": azure_hour(), "2x, 4,096 blocks": azure_hour(2.0, 4096)}
    with same_addresses():
        worker = executor(1)
        costs = list(worker.map(cost_of, names.values()))
    shut_down(worker)
    for name, cost in zip(names, costs, strict=True):
        isolated, judged, inside, questions = cost
        each_us = 1e6 * (isolated - inside) / questions
        row = f"{isolated:.2f} s | {judged:.2f} s | {inside:.2f} s | {questions:,}"
        print(f"| {name} | {row} | {each_us:.0f} us |")
        assert isolated / inside < 6


SIZES = (1_000, 10_000, 100_000, 1_000_000)


@pytest.mark.parametrize(("load", "rate_per_s"), [("0.8x", 5.0), ("8x", 50.0)])
def test_cost_grows_linearly_with_requests(load, rate_per_s):
    engines = {"Python": (in_python, SIZES[:3])}
    if is_installed():
        engines["compiled"] = (serve, SIZES)
    for engine, (work, sizes) in engines.items():
        costs = []
        for n in sizes:
            scenario = drawn(n, rate_per_s)
            times = 1 if n > 10_000 else 5
            taken = seconds(lambda w=work, s=scenario: w(s), times)
            costs.append(1e6 * taken / n)
        cells = " | ".join(f"{cost:.1f}" for cost in costs)
        print(f"\n| us a request at {load} of capacity, {engine} | {cells} |")
        assert costs[-1] < 3 * costs[1]


PEAK = """
from tests.bench import test_engine_speed as speed
def peak_mb():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM:")) / 1024
scenario = {scenario}
before = peak_mb()
speed.{engine}(scenario)
print(peak_mb(), peak_mb() - before)
"""


def test_peak_memory():
    engines = ["in_python", "serve"] if is_installed() else ["in_python"]
    scenarios = {
        "Azure hour, 1 replica": "speed.azure_hour()",
        "Mooncake conversation, 4 replicas": "speed.fleet_of(speed.mooncake(), 4)",
        "a million requests": "speed.drawn(1_000_000, 5.0)",
    }
    print(
        "\n| peak memory of a process (above loading the scenario) | MB |\n|---|---:|"
    )
    for name, scenario in scenarios.items():
        for engine in engines:
            if name.startswith("a million") and engine == "in_python":
                continue
            code = PEAK.format(scenario=scenario, engine=engine)
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            peak, more = map(float, done.stdout.split())
            print(f"| {name}, {engine} | {peak:.0f} ({more:.0f}) |")
            assert peak < 4000
