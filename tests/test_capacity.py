"""Capacity: the highest rate that keeps objectives, found the same every time."""

import json

import pytest

from evaluators import capacity
from evaluators.calibration.step_time import StepTime
from evaluators.capacity import (
    ATTAINED,
    RULES,
    SHIPPED,
    attained,
    capacity_per_s,
    digest,
    entry,
    in_objectives,
    load,
    store,
    stored_capacity_per_s,
)
from evaluators.scenario import Deployment
from evaluators.sim.engine import simulate
from evaluators.splits import Plan, Service, draw_split
from evaluators.workloads.synthetic import build
from evaluators.workloads.trace import PS_PER_S
from tests.shipped_capacities import COMBINATIONS, sitting

WORKLOAD = build()
N = 100


def service(ms_per_token=0.03, kv_blocks=20_000):
    step_time = StepTime(
        decodes_ps=(8 * 10**9,), prefill_token_ps=int(ms_per_token * 10**9)
    )
    return Service(Deployment("test", kv_blocks), step_time, "made up")


def test_objectives_are_kept_at_capacity_and_not_much_above():
    found = capacity_per_s(WORKLOAD, service(), N)
    assert attained(WORKLOAD, service(), N, found * 0.99) >= ATTAINED
    assert attained(WORKLOAD, service(), N, found * 1.05) < ATTAINED


def test_a_slower_service_bears_less():
    fast, slow = (capacity_per_s(WORKLOAD, service(ms), N) for ms in (0.03, 0.06))
    assert slow < 0.7 * fast


def test_a_service_that_keeps_nothing_is_refused_in_one_line():
    with pytest.raises(
        ValueError, match=r"synthetic on test: at 0.016 requests/s less"
    ):
        capacity_per_s(WORKLOAD, service(ms_per_token=5.0), N)


def test_a_request_is_in_objectives_exactly_up_to_each_limit():
    plan = Plan(seeds=1, n_requests=N, regimes=(1.0,))
    (scenario,) = draw_split(WORKLOAD, service(), "train", plan, 6.0)
    run = simulate(scenario, None)
    for row, kept in enumerate(in_objectives(scenario, run)):
        limits = scenario.classes[scenario.trace.slo_class[row]]
        later = int(scenario.trace.output_tokens[row]) - 1
        first, last = int(run.first_token_ps[row]), int(run.finished_ps[row])
        expected = (
            first - int(scenario.trace.arrived_ps[row]) <= limits.ttft_s * PS_PER_S
            and last - first <= limits.tpot_s * PS_PER_S * later
            and int(run.longest_gap_ps[row]) <= limits.gap_s * PS_PER_S
        )
        assert kept == expected


def test_a_search_is_stored_and_found_again(tmp_path):
    path = tmp_path / "runs" / "capacities.json"
    found = stored_capacity_per_s(WORKLOAD, service(), N, path)
    (stored,) = json.loads(path.read_text()).values()
    assert stored["capacity_per_s"] == found
    stored["capacity_per_s"] = 123.0
    store(path, {digest(WORKLOAD, service(), N): stored})
    assert stored_capacity_per_s(WORKLOAD, service(), N, path) == 123.0


def test_a_search_under_other_rules_is_not_taken_but_done_again(tmp_path, monkeypatch):
    path = tmp_path / "capacities.json"
    before = digest(WORKLOAD, service(), N)
    store(path, {before: entry(WORKLOAD, service(), N, 123.0)})
    assert stored_capacity_per_s(WORKLOAD, service(), N, path) == 123.0
    monkeypatch.setattr(capacity, "RULES", RULES + 1)
    assert digest(WORKLOAD, service(), N) != before
    found = stored_capacity_per_s(WORKLOAD, service(), N, path)
    assert found == capacity_per_s(WORKLOAD, service(), N) != 123.0
    assert len(load(path)) == 2


@pytest.mark.parametrize(
    "other",
    [
        (build(tenants=4), service(), N),
        (WORKLOAD, service(ms_per_token=0.04), N),
        (WORKLOAD, service(kv_blocks=10_000), N),
        (WORKLOAD, service(), N + 1),
    ],
)
def test_a_stored_search_is_not_taken_for_another(other):
    assert digest(*other) != digest(WORKLOAD, service(), N)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "7",
        '{"k": 7}',
        '{"k": {}}',
        '{"k": {"capacity_per_s": "7"}}',
        '{"k": {"capacity_per_s": 0}}',
        '{"k": {"capacity_per_s": NaN}}',
    ],
)
def test_a_file_that_is_not_ours_is_refused_by_name(tmp_path, text):
    path = tmp_path / "capacities.json"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=r"capacities.json is not a file of capacities"
    ):
        load(path)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(words, marks=pytest.mark.slow if number else ())
        for number, words in enumerate(COMBINATIONS)
    ],
    ids=" ".join,
)
def test_a_fresh_search_reproduces_the_shipped_capacity(overrides, tmp_path):
    at = sitting(overrides, tmp_path)
    shipped = load(SHIPPED).get(digest(at.workload, at.service, at.n_requests))
    assert shipped is not None, "outdated: python -m tests.shipped_capacities"
    fresh = capacity_per_s(at.workload, at.service, at.n_requests)
    assert shipped["capacity_per_s"] == fresh == at.capacity_per_s
