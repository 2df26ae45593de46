"""The starvation gate names who pays, and never punishes who keeps the objectives."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.problems import load
from evaluators.sim.engine import simulate
from evaluators.starvation import ALLOWANCE, LEAST_REQUESTS, gate, groups, tail_s, tails
from tests.problems.builders import on_h100, policy, synthetic, trace_of

EXAM = synthetic(14.0, n=300)
REFERENCE = simulate(EXAM, None)


@pytest.mark.parametrize("seed", range(4))
def test_every_request_is_in_exactly_one_group_of_enough_requests(seed):
    exam = synthetic(5.0, n=400, seed=seed)
    found = groups(exam)
    rows = np.concatenate([group.rows for group in found])
    assert sorted(rows) == list(range(len(exam.trace)))
    assert min(len(group.rows) for group in found) >= LEAST_REQUESTS
    assert len({group.name for group in found}) == len(found)


def test_few_requests_of_a_class_stay_one_group():
    exam = on_h100(trace_of(np.arange(9.0), [10, 9000, 20] * 3, 5, 0, [0, 1, 0] * 3))
    assert [group.name for group in groups(exam)] == [
        "interactive/prompt 0-",
        "relaxed/prompt 0-",
    ]


def test_the_reference_passes_its_own_gate():
    assert gate(EXAM, REFERENCE, tails(EXAM, REFERENCE)).factor == 1.0


def test_the_gate_falls_smoothly_with_the_worst_tail():
    own = tails(EXAM, REFERENCE)
    worst = max((t for t in own if t.endswith("ttft_tail_s")), key=own.get)
    factors = []
    for share in (1.0, 0.6, 0.5, 0.48):
        barrier = gate(EXAM, REFERENCE, own | {worst: own[worst] * share})
        factors.append(barrier.factor)
    assert factors[:2] == [1.0, pytest.approx(ALLOWANCE * 0.6)]
    assert factors[2:] == [pytest.approx(ALLOWANCE * s) for s in (0.5, 0.48)]


def test_a_tail_is_the_mean_of_the_slowest_hundredth_but_of_ten():
    assert tail_s(np.array([np.nan])) == 0.0
    assert tail_s(np.array([3.0, np.nan, 1.0])) == 2.0
    assert tail_s(np.arange(1.0, 41.0)) == np.arange(31.0, 41.0).mean()
    assert tail_s(np.arange(5000.0)) == np.arange(4950.0, 5000.0).mean()


def test_a_tail_within_its_objective_starves_nobody():
    easy = tuple(replace(c, ttft_s=1e6, gap_s=1e6) for c in EXAM.classes)
    exam = replace(EXAM, classes=easy)
    none = dict.fromkeys(tails(exam, REFERENCE), 0.0)
    assert gate(exam, REFERENCE, none).factor == 1.0


@pytest.mark.parametrize("per_s", [9.0, 30.0, 120.0])
def test_at_no_load_does_it_pay_to_hold_back_all_long_prompts(per_s):
    class Holding:
        holds_back = True

        def admit_key(self, waiting, engine):
            is_long = waiting.prompt_tokens > 4096
            return np.where(is_long, np.inf, waiting.prompt_tokens)

    problem, exam = load("scheduling"), synthetic(per_s, n=200)
    standard = problem.standard(exam)
    rules = (Holding(), policy("fcfs"), policy("shortest_prompt"))
    held, *honest = [problem.evaluate(rule, exam, standard).score for rule in rules]
    assert held < 0.6 * min(honest)


def test_shortest_prompt_first_is_caught_starving_long_prompts():
    arrived_s = np.concatenate([np.linspace(0, 20, 960), np.linspace(0, 20, 50)])
    prompt = np.repeat([900, 5000], [960, 50])
    order = np.argsort(arrived_s, kind="stable")
    exam = on_h100(trace_of(arrived_s[order], prompt[order], 2))
    run = simulate(exam, policy("shortest_prompt"))
    barrier = gate(exam, run, tails(exam, simulate(exam, None)))
    assert barrier.factor < 0.5
    assert barrier.tail == "interactive/prompt 1024-/ttft_tail_s"
    assert barrier.own_s > barrier.allowed_s
