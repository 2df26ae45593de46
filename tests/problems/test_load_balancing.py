"""The bound of a fleet holds whatever routes, and knows what prefixes can save."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.bounds import utility_bound
from evaluators.fleet import Fleet, Member
from evaluators.fleet_bound import fleet_bound, shared_tokens
from evaluators.metrics import utility
from evaluators.problems.load_balancing import PROBLEM
from evaluators.sim.cluster.engines import fast
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.workloads.prefixes import Prefixes, Sessions
from evaluators.workloads.workload import build_workload
from tests.papers.routers import SEEDS, router
from tests.problems.builders import on_h100, trace_of

NAMES = sorted(path.stem for path in SEEDS.glob("*.py"))


def exam_of(kind, rate_per_s, seed=0, replicas=3, n=150, **deployment):
    trace = build_workload(kind, {}).draw("train", seed, rate_per_s, n)
    scenario = on_h100(trace, prefix_caching=True, **deployment)
    member = Member(scenario.deployment, scenario.step_time)
    return replace(scenario, fleet=Fleet((member,) * replicas, report_delay_s=0.1))


@pytest.mark.parametrize(("rate_per_s", "seed"), [(20.0, 0), (60.0, 1), (200.0, 2)])
def test_no_seed_exceeds_the_bound(rate_per_s, seed):
    exam = exam_of("hot_prefix", rate_per_s, seed)
    bound = fleet_bound(exam)
    for name in NAMES:
        run = simulate_fleet(exam, router(name), fast)
        assert utility(exam, run).mean() <= bound + 1e-9, name
    assert 0 < bound <= 1


def test_more_replicas_raise_the_bound_under_overload():
    bounds = [fleet_bound(exam_of("hot_prefix", 300.0, replicas=n)) for n in (1, 2, 8)]
    assert bounds[0] < bounds[1] < bounds[2]


def test_without_prefixes_one_replica_is_bounded_as_an_engine_is():
    scenario = on_h100(build_workload("synthetic", {}).draw("train", 0, 14.0, 150))
    member = Member(scenario.deployment, scenario.step_time)
    alone = replace(scenario, fleet=Fleet((member,)))
    assert fleet_bound(alone) == pytest.approx(utility_bound(scenario), rel=0.02)


def test_only_what_came_before_can_be_found():
    prefixes = Prefixes(16, np.array([0, 2, 4, 6]), np.array([0, 1, 0, 1, 0, 2]))
    trace = trace_of([0.0, 1.0, 2.0], [40, 40, 32], 5)
    trace = replace(trace, prefixes=prefixes)
    assert shared_tokens(trace, 16).tolist() == [0, 32, 16]
    sessions = Sessions(np.array([-1, 0, -1]), np.zeros(3), np.zeros(3))
    closed = replace(trace, sessions=sessions)
    assert shared_tokens(closed, 16).tolist() == [16, 32, 16]


def test_an_outcome_says_who_served_how_much():
    exam = exam_of("hot_prefix", 40.0)
    outcome = PROBLEM.evaluate(router("random"), exam, PROBLEM.standard(exam))
    assert outcome.failure is None and 0 < outcome.score <= 1
    assert 0 < outcome.metrics["hit_share"] < 1
    assert outcome.feedback.startswith("Replicas served ")
