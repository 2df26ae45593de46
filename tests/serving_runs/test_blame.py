"""Whose time is wrong, told by runs that it weighs on differently."""

import numpy as np
import pytest

from evaluators.calibration.step_time import StepTime
from evaluators.serving_runs.blame import blamed
from evaluators.serving_runs.terms import TERMS, shares
from evaluators.sim.engine import simulate
from tests.serving_runs.builders import point
from tests.sim.builders import served

MIXED = StepTime(tokens_ps=(1000, 1010), decodes_ps=(0, 50), context_ps=((3,),))


@pytest.mark.parametrize("fault", TERMS)
def test_a_term_that_takes_longer_than_predicted_is_found(fault):
    draws = np.random.default_rng(1).dirichlet(np.ones(4), 40)
    points = []
    for row in draws:
        parts = dict(zip(TERMS, row.tolist(), strict=True))
        measured = 1.0 + 0.3 * parts[fault]
        points.append(point({"tpot_mean": measured}, {"tpot_mean": 1.0}, parts))
    found = blamed(points, "tpot_mean")
    assert found.fault == fault
    assert found.scales[fault] == pytest.approx(1.3, abs=0.05)
    assert found.after < 0.2 * found.before


def test_nothing_is_blamed_where_all_is_right_or_nothing_measured():
    exact = blamed([point({"tpot_mean": 1.0}, {"tpot_mean": 1.0})] * 3, "tpot_mean")
    assert exact.scales == pytest.approx(dict.fromkeys(TERMS, 1.0))
    assert blamed([point({}, {"tpot_mean": 1.0})], "tpot_mean") is None


def test_terms_add_up_to_the_time_of_a_token():
    requests = [(0, 20, 30), (40_000, 20, 30)]
    scenario = served(requests, step_time=MIXED, kv_blocks=1000)
    run = simulate(scenario, None)
    found = shares(run.steps, MIXED, 0, int(run.finished_ps.max()))
    assert sum(found.values()) == pytest.approx(1.0)
    assert all(found[term] > 0 for term in ("dense", "sequences", "attention"))


def test_steps_outside_the_window_count_for_nothing():
    scenario = served([(0, 20, 30)], step_time=MIXED, kv_blocks=1000)
    run = simulate(scenario, None)
    end = int(run.finished_ps.max())
    assert sum(shares(run.steps, MIXED, end + 1, end + 2).values()) == 0.0
