"""No policy exceeds the bound, and the bound is not idle."""

from contextlib import suppress
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from evaluators.bounds import Slots, dual, transport_bound, utility_bound
from evaluators.calibration.step_time import Batch
from evaluators.evaluation import PolicyError
from evaluators.metrics import utility
from evaluators.problems.scheduling import Scheduling
from evaluators.scenario import ServiceClass
from evaluators.sim.engine import simulate
from evaluators.work import prices, tables
from evaluators.workloads.workload import build_workload
from tests.problems.builders import names, on_h100, policy, synthetic, trace_of
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_policy, fuzzed_scenario


def fuzzed_exam(seed):
    """A fuzzed scenario with objectives that are sometimes in reach.

    The engine of every third decides steps ahead.
    """
    limits = 10.0 ** np.random.default_rng((seed, 9)).uniform(-10.5, -7, (2, 3))
    classes = tuple(ServiceClass(f"class {i}", *limits[i], "drawn") for i in (0, 1))
    exam = replace(fuzzed_scenario(seed), classes=classes)
    deployment = replace(exam.deployment, async_scheduling=seed % 3 == 0)
    return replace(exam, deployment=deployment)


@pytest.mark.parametrize("seed", range(60))
def test_no_policy_exceeds_the_bound(seed):
    exam = fuzzed_exam(seed)
    bound = utility_bound(exam)
    seeds = [names()[(seed + i) % len(names())] for i in (0, 4, 8)]
    for subject in (None, fuzzed_policy(seed)(), *map(policy, seeds)):
        with suppress(PolicyError):  # a drawn policy may get stuck
            assert utility(exam, simulate(exam, subject)).mean() <= bound + 1e-9


@pytest.mark.parametrize("kind", ["documents", "hot_prefix", "agents"])
@pytest.mark.parametrize("caches", [False, True])
def test_what_is_found_in_memory_or_follows_others_is_within_the_bound(kind, caches):
    trace = build_workload(kind, {}).draw("train", 0, 20.0, 80)
    exam = on_h100(trace, prefix_caching=caches)
    bound = Scheduling().standard(exam).bound
    for subject in (None, policy("shortest_prompt"), policy("least_slack")):
        assert utility(exam, simulate(exam, subject)).mean() <= bound + 1e-9


class InOrder:
    """Serves prompts, known by their lengths, in a given order."""

    def __init__(self, prompts, budget):
        self.place = {prompt: place for place, prompt in enumerate(prompts)}
        self.budget = budget

    def admit_key(self, waiting, engine):
        return [self.place[prompt] for prompt in waiting.prompt_tokens.tolist()]

    def token_budget(self, engine):
        return self.budget


@pytest.mark.parametrize("seed", range(6))
def test_no_order_of_a_handful_of_requests_exceeds_the_bound(seed):
    rng = np.random.default_rng(seed)
    prompts = rng.choice(np.arange(1, 40), 4, replace=False).tolist()
    requests = [(0, prompt, int(rng.integers(1, 6))) for prompt in prompts]
    limits = ServiceClass("tight", 4e-11, 1.5e-11, 3e-11, "made up")
    exam = replace(served(requests, max_step_tokens=40), classes=(limits,) * 2)
    worths = [
        utility(exam, simulate(exam, InOrder(order, budget))).mean()
        for order in permutations(prompts)
        for budget in (8, 40)
    ]
    assert 0.3 * utility_bound(exam) < max(worths) <= utility_bound(exam) + 1e-9


def test_one_request_alone_reaches_the_bound():
    exam = replace(served([(0, 50, 1)]), classes=(ServiceClass("t", 3e-11, 1, 1, "x"),))
    alone = utility(exam, simulate(exam, None)).mean()
    assert alone == pytest.approx(0.5)
    assert utility_bound(exam) == pytest.approx(alone)


def test_more_load_lowers_the_bound():
    bounds = [utility_bound(synthetic(rate, n=400)) for rate in (4.0, 20.0, 80.0)]
    assert bounds[0] > 0.98
    assert 0.99 > bounds[1] > 0.9 > bounds[2]


def test_a_burst_that_no_machine_could_serve_at_once_is_bounded_well_below_one():
    exam = on_h100(trace_of(np.zeros(400), 2000, 2))
    assert utility(exam, simulate(exam, None)).mean() < utility_bound(exam) < 0.3


def test_answers_alone_can_keep_the_machine_too_busy():
    exam = on_h100(trace_of(np.zeros(400), 1, 500), max_running=8)
    assert utility(exam, simulate(exam, None)).mean() < utility_bound(exam) < 0.2


def test_any_prices_bound_the_relaxation_from_above():
    rng = np.random.default_rng(0)
    value = np.sort(rng.random((30, 20)), axis=1)[:, ::-1].copy()
    work_s = rng.random(30)
    slots = Slots(np.arange(20.0), np.full(20, 0.2))
    greedy = greedy_value(value, work_s, slots)
    found = transport_bound(value, work_s, slots)
    assert greedy <= found < value.max(axis=1).sum()
    for _ in range(50):
        assert greedy <= dual(value, work_s, slots, rng.random(20) * 3)


def greedy_value(value, work_s, slots):
    """A feasible solution: each slot to who gains most per second of it."""
    left_s, total = work_s.copy(), 0.0
    for slot, length_s in enumerate(slots.length_s):
        for row in np.argsort(-value[:, slot] / work_s):
            done_s = min(left_s[row], length_s)
            total += value[row, slot] * done_s / work_s[row]
            left_s[row], length_s = left_s[row] - done_s, length_s - done_s
    return total


@pytest.mark.parametrize("seed", range(30))
def test_no_step_is_shorter_than_its_tokens_at_their_prices(seed):
    exam = fuzzed_scenario(seed)
    rng, table = np.random.default_rng(seed), tables(exam)
    for price in prices(table):
        decodes = int(rng.integers(0, len(table.decodes_ps)))
        prompt = int(rng.integers(0, len(table.tokens_ps) - decodes))
        if prompt + decodes:
            step_ps = exam.step_time.duration_ps(Batch(prompt, 0, decodes, 0, 0))
            at_prices = prompt * price.prompt_ps + decodes * price.answer_ps
            assert at_prices <= step_ps + 1e-6
