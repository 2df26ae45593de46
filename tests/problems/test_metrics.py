"""Metrics are what their definitions say, held against plain loops."""

import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pytest

from evaluators import quantiles
from evaluators.metrics import latencies, measure, tenant_jain, terms, utility
from evaluators.quantiles import PER_MILLE, gap_summary, quantile
from evaluators.sim.engine import simulate
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.solo import solo_ps
from evaluators.workloads.trace import PS_PER_S
from tests.problems.builders import on_h100, policy, synthetic, trace_of
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_scenario, fuzzed_step_time

FUZZ = range(40)


def utility_by_hand(scenario, run, row):
    trace = scenario.trace
    service = scenario.classes[trace.slo_class[row]]
    finished_s = run.finished_ps[row] / PS_PER_S
    if finished_s < 0 or finished_s > trace.duration_s + 10 * service.ttft_s:
        return 0.0
    first_s = run.first_token_ps[row] / PS_PER_S
    worth = min(1, service.ttft_s / (first_s - trace.arrived_ps[row] / PS_PER_S))
    if trace.output_tokens[row] == 1:
        return worth
    tpot_s = (finished_s - first_s) / (trace.output_tokens[row] - 1)
    gap_s = run.longest_gap_ps[row] / PS_PER_S
    return worth * min(1, service.tpot_s / tpot_s) * min(1, service.gap_s / gap_s)


def gaps_by_hand(run):
    """Every gap between two tokens of a request, from steps one by one."""
    steps = run.steps
    gaps = list(run.broken_gaps_ps)
    for i in range(len(steps.count)):
        for k in range(steps.count[i]):
            gaps += [steps.first_ps[i] + k * steps.growth_ps[i]] * steps.gaps[i]
    return sorted(gaps)


@pytest.mark.parametrize("seed", FUZZ)
def test_utility_is_the_product_of_kept_objectives(seed):
    scenario = fuzzed_scenario(seed)
    run = simulate(scenario, policy("shortest_prompt"))
    by_hand = [utility_by_hand(scenario, run, i) for i in range(len(scenario.trace))]
    assert utility(scenario, run) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize("seed", FUZZ)
def test_gap_quantiles_are_exact_over_skipped_steps(seed, monkeypatch):
    scenario = fuzzed_scenario(seed)
    gaps = gaps_by_hand(simulate_plainly(scenario, None))
    run = simulate(scenario, None)
    found = gap_summary(run)
    monkeypatch.setattr(quantiles, "MOST_LISTED", -1)
    assert gap_summary(run) == found
    for name, per_mille in PER_MILLE.items():
        rank = max(1, math.ceil(len(gaps) * per_mille / 1000))
        expected = gaps[rank - 1] / PS_PER_S if gaps else 0.0
        assert found[name] == expected
    assert found["mean"] == pytest.approx(np.mean(gaps) / PS_PER_S if gaps else 0.0)


def test_gaps_add_up_to_the_time_between_first_and_last_tokens():
    scenario = synthetic(10.0, kv_blocks=5000)
    run = simulate(scenario, None)
    assert run.preemptions.any()
    n_gaps = int((scenario.trace.output_tokens - 1).sum())
    between_s = (run.finished_ps - run.first_token_ps).sum() / PS_PER_S
    assert gap_summary(run)["mean"] * n_gaps == pytest.approx(between_s)


def test_alone_on_an_idle_engine_nothing_is_slowed_down():
    prompt, output = [1, 700, 2048, 2049, 9000], [1, 300, 2, 40, 7]
    scenario = on_h100(trace_of(np.arange(5) * 100.0, prompt, output))
    run = simulate(scenario, None)
    assert (run.finished_ps - scenario.trace.arrived_ps == solo_ps(scenario)).all()


def test_alone_takes_the_solo_time_whatever_a_step_costs():
    rng = np.random.default_rng(0)
    for _ in range(30):
        sizes = zip(rng.integers(1, 200, 5), rng.integers(1, 80, 5), strict=True)
        exam = served(
            [
                (k * 10**9, int(prompt), int(output))
                for k, (prompt, output) in enumerate(sizes)
            ],
            step_time=fuzzed_step_time(rng),
            kv_blocks=300,
        )
        run = simulate(exam, None)
        assert np.array_equal(run.finished_ps - run.arrived_ps, solo_ps(exam))


def test_a_quantile_is_an_observed_value_at_its_rank():
    values = np.array([np.nan, 5.0, 1.0, 3.0, 2.0, 4.0])
    assert [quantile(values, q) for q in (1, 200, 201, 500, 999)] == [1, 1, 2, 3, 5]
    assert quantile(np.array([np.nan]), 500) == 0.0


def test_what_is_late_or_rejected_is_worth_nothing():
    many = trace_of([0.0, 0.0, 0.0], [100, 100, 5000], [2000, 10, 10])
    scenario = on_h100(many, kv_blocks=200)
    run = simulate(scenario, None)
    assert run.rejected == (2,)
    assert utility(scenario, run).tolist() == [0.0, 1.0, 0.0]
    assert terms(scenario, run).in_time.tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(latencies(scenario, run).ttft_s).tolist() == [False, False, True]
    found = measure(scenario, run)
    assert (found["late_requests"], found["rejected_requests"]) == (1, 1)
    assert all(math.isfinite(value) for value in found.values())


def test_a_request_that_never_ended_counts_up_to_the_cut_off():
    scenario = on_h100(trace_of([0.0, 1.0], 100, 10))
    run = simulate(scenario, None)
    never = replace(run, finished_ps=np.array([-1, run.finished_ps[1]]))
    cut_off_s = 1.0 + 10 * scenario.classes[0].ttft_s
    assert latencies(scenario, never).e2e_s[0] == cut_off_s
    assert utility(scenario, never)[0] == 0


def test_jain_is_one_for_equal_tenants_and_falls_when_one_suffers():
    together = trace_of(np.zeros(40), 1000, 20, tenant=np.arange(40) % 2)
    assert tenant_jain(on_h100(together), simulate(on_h100(together), None)) > 0.99
    flood = trace_of(np.zeros(41), 1000, 2, tenant=np.arange(41) // 40)
    flooded = on_h100(flood, max_running=1)
    assert tenant_jain(flooded, simulate(flooded, None)) < 0.9


def test_what_a_scenario_says_by_itself_is_found_once_and_kept_as_long_as_it_is():
    scenario = synthetic(10.0)
    alone = solo_ps(scenario)
    assert solo_ps(scenario) is alone
    again = replace(scenario)
    assert solo_ps(again) is not alone
    assert (solo_ps(again) == alone).all()
    gone = weakref.ref(scenario)
    del scenario
    gc.collect()
    assert gone() is None
