"""What is compared, what is cut, and what is claimed of which point."""

import numpy as np
import pytest

from evaluators.calibration.calibration import load
from evaluators.serving_runs.calibrated import finding
from evaluators.serving_runs.comparison import compared
from evaluators.serving_runs.host import FITTED_ON, RECORDED_S
from evaluators.serving_runs.measured import trace_of
from evaluators.serving_runs.replay import counted, scenario_of
from evaluators.serving_runs.targets import OPEN, TARGETS, gated, verdicts
from evaluators.sim.engine import simulate
from tests.serving_runs.builders import LIMITS, point, run, stage

OWN = load("llama31_8b_h100")
SENT = trace_of(np.arange(0.0, 20.0, 0.25), np.full(80, 100), np.full(80, 20))


def test_requests_within_the_cut_are_in_no_statistic():
    served = run(stage(last=80, cut_s=5.0), trace=SENT)
    window = counted(simulate(scenario_of(served, OWN), None), served.stages[0])
    assert window.rows[0] == 20
    assert len(window.rows) == 60


def test_each_stage_is_cut_from_its_own_first_request():
    served = run(stage(first=40, last=80, cut_s=5.0), trace=SENT)
    window = counted(simulate(scenario_of(served, OWN), None), served.stages[0])
    assert window.rows.tolist() == list(range(60, 80))


def test_the_knee_is_above_three_quarters_of_the_slots():
    assert "knee" not in point({}, {}, running=96.0).flags
    assert "knee" in point({}, {}, running=96.1).flags
    assert "knee" not in point({}, {}, running=96.1, concurrency=97).flags


def test_a_stage_that_failed_or_overflowed_is_saturated():
    assert "saturated" in point({}, {}, failed=0.02).flags
    assert "saturated" in point({}, {}, running=129.0).flags
    assert point({}, {}, failed=0.01, running=90.0).flags == ()


@pytest.mark.parametrize("changed", [{"running": 100.0}, {"failed": 0.5}])
def test_nothing_is_claimed_at_the_knee_or_when_saturated(changed):
    flagged = point({}, {}, **changed)
    assert not any(flagged.is_gated(m) for m in ("e2e_mean", "ttft_mean"))


def test_the_knee_counts_where_every_request_is_known():
    assert point({}, {}, running=100.0).is_gated("tpot_mean", at_knee=True)
    assert not point({}, {}, failed=0.5).is_gated("tpot_mean", at_knee=True)


def test_engines_that_wait_for_each_other_are_shown_and_not_claimed():
    pair = point({"tpot_mean": 1.0}, {"tpot_mean": 1.1}, engines=2, running=100.0)
    assert pair.flags == ("lockstep",)
    assert pair.error("tpot_mean") == pytest.approx(0.1)
    assert not pair.is_gated("tpot_mean", at_knee=True)


def test_means_and_tails_that_hold_the_warm_up_are_not_claimed():
    warm = point({}, {}, holds_warm_up=True)
    claimed = [m for m in ("e2e_mean", "ttft_mean", "ttft_p90") if warm.is_gated(m)]
    assert claimed == ["e2e_mean", "ttft_p90"]


def test_runs_that_the_constant_is_fitted_on_count_for_no_target():
    points = [
        point({"e2e_mean": 1.0}, {"e2e_mean": 1.5}, part="fit"),
        point({"e2e_mean": 1.0}, {"e2e_mean": 1.02}),
    ]
    verdict = next(v for v in verdicts(points) if v.target.metric == "e2e_mean")
    assert verdict.points == 1
    assert verdict.median == pytest.approx(0.02)
    assert verdict.is_met


def test_the_band_is_missed_when_fewer_than_nine_in_ten_are_within():
    errors = [0.0] * 8 + [0.5] * 2
    points = [point({"e2e_mean": 1.0}, {"e2e_mean": 1.0 + e}) for e in errors]
    verdict = next(v for v in verdicts(points) if v.target.metric == "e2e_mean")
    assert verdict.median == 0.0
    assert verdict.within == pytest.approx(0.8)
    assert not verdict.is_met


def test_host_time_is_fitted_on_the_fitting_runs_and_moves_no_token_time():
    ttft, tpot = 0.5, 0.05
    fit = run(
        stage({"ttft_p50": ttft}, last=80), name=FITTED_ON[0], trace=SENT, part="fit"
    )
    test = run(stage({"ttft_p50": ttft, "tpot_mean": tpot}, last=80), trace=SENT)
    found = compared([fit, test], lambda run: OWN)
    assert found.host.seconds > 0.4
    assert found.points[1].predicted["ttft_p50"] == pytest.approx(ttft)
    alone = compared([test], lambda run: OWN)
    assert alone.host.seconds == RECORDED_S
    same = {p.predicted["tpot_mean"] for p in (found.points[1], alone.points[0])}
    assert len(same) == 1


def test_a_run_of_another_model_is_left_out_and_named():
    found = compared([run(model="gpt-9", tp=8)], finding(None))
    assert found.points == ()
    assert found.left_out[0].why == (
        "no calibration of gpt-9 on h100, 8 ranks, 16 bits, KV 16 bits"
    )


def test_kv_blocks_are_the_recorded_ones_or_the_calibrations():
    recorded = run(limits=LIMITS._replace(kv_blocks=77))
    assert scenario_of(recorded, OWN).deployment.kv_blocks == 77
    assert scenario_of(run(), OWN).deployment.kv_blocks == OWN.kv_blocks


def test_every_open_target_has_a_metric_that_stages_may_measure():
    measured = {t.metric: 1.0 for t in TARGETS}
    points = [point(measured, measured)]
    asked = [t for t in TARGETS if t.group == OPEN]
    assert all(gated(points, target) == points for target in asked)
