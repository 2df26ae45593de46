"""Share and tau of pairs that differ in one knob by more than the noise."""

import pytest

from evaluators.serving_runs.noise import near_repeats, noise
from evaluators.serving_runs.ranking import Order, order, pairs
from tests.serving_runs.builders import LIMITS, point, run, stage


def loaded(load, measured, predicted, **changed):
    return point({"e2e_mean": measured}, {"e2e_mean": predicted}, load=load, **changed)


def test_kendalls_tau_is_right_less_wrong_pairs_over_all():
    points = [loaded(1.0, 1.0, 1.0), loaded(2.0, 2.0, 3.0), loaded(3.0, 3.0, 2.0)]
    found = order(pairs(points, {}))
    assert found == Order(pairs=3, right=2, ties=0)
    assert found.share == pytest.approx(2 / 3)
    assert found.tau == pytest.approx(1 / 3)


def test_a_tie_is_not_ordered_right_and_costs_tau_half_of_a_wrong_pair():
    found = order(pairs([loaded(1.0, 1.0, 1.0), loaded(2.0, 2.0, 1.0)], {}))
    assert (found.share, found.tau) == (0.0, 0.0)
    wrong = order(pairs([loaded(1.0, 1.0, 1.0), loaded(2.0, 2.0, 0.5)], {}))
    assert (wrong.share, wrong.tau) == (0.0, -1.0)


def test_a_perfect_order_has_share_and_tau_one_and_none_has_nought():
    found = order(pairs([loaded(float(n), n, 2.0 * n) for n in range(1, 6)], {}))
    assert (found.pairs, found.share, found.tau) == (10, 1.0, 1.0)
    assert (order([]).share, order([]).tau) == (0.0, 0.0)


def test_differences_within_the_noise_are_no_pairs():
    points = [loaded(1.0, 1.0, 1.0), loaded(2.0, 1.04, 1.5)]
    assert len(pairs(points, {"e2e_mean": (0.03, 9)})) == 1
    assert pairs(points, {"e2e_mean": (0.05, 9)}) == []


def test_runs_that_differ_in_two_knobs_or_in_workload_are_no_pairs():
    one = loaded(1.0, 1.0, 1.0)
    two_knobs = loaded(2.0, 2.0, 2.0, tp=2)
    other = loaded(2.0, 2.0, 2.0, workload="codegen")
    assert pairs([one, two_knobs], {}) == []
    assert pairs([one, other], {}) == []


@pytest.mark.parametrize(
    ("changed", "knob"),
    [
        ({"tp": 2}, "tp"),
        ({"limits": LIMITS._replace(max_running=64)}, "batch limit"),
        ({"limits": LIMITS._replace(max_step_tokens=512)}, "batch tokens"),
        ({"limits": LIMITS._replace(prefix_caching=False)}, "cache"),
    ],
)
def test_each_knob_is_named(changed, knob):
    found = pairs([loaded(1.0, 1.0, 1.0), loaded(1.0, 2.0, 2.0, **changed)], {})
    assert [pair.knob for pair in found] == [knob]


def test_no_order_of_first_tokens_is_asked_at_the_knee():
    ttft = {"ttft_mean": 1.0, "e2e_mean": 1.0}
    later = {"ttft_mean": 9.0, "e2e_mean": 9.0}
    points = [point(ttft, ttft, load=1.0), point(later, later, load=2.0, running=120.0)]
    assert [pair.metric for pair in pairs(points, {})] == ["e2e_mean"]


def test_near_repeats_differ_in_settings_that_cannot_matter_only():
    runs = [run(stage(running=1.0), knobs={"gpu_mem_util": v}) for v in "123"]
    other = run(stage(running=1.0), tp=2)
    assert len(near_repeats([*runs, other])) == 3


def test_the_noise_is_what_nine_in_ten_near_repeats_stay_below():
    times = [1.0, 1.01, 1.02]
    runs = [run(stage({"e2e_mean": t}), knobs={"cpu_offload": str(t)}) for t in times]
    apart, count = noise(runs)["e2e_mean"]
    assert count == 3
    assert 0.01 < apart < 0.02
    assert noise(runs[:2]) == {}
