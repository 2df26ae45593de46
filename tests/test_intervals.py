"""Paired gains: their mean, their interval, and how often the interval is right."""

import numpy as np
import pytest

from adrs.intervals import gain, gains_by, student


def test_equal_scores_gain_nothing_for_sure():
    assert gain([0.5, 0.7], [0.5, 0.7], [1, 1]) == (0.0, 0.0, 0.0)


def test_a_constant_difference_is_known_exactly():
    found = gain([0.6, 0.9, 0.4], [0.5, 0.8, 0.3], [1, 1, 2])
    assert found == pytest.approx((0.1, 0.1, 0.1))


def test_the_gain_of_the_other_side_is_the_mirror():
    own, other = [0.6, 0.9, 0.4, 0.3], [0.5, 0.4, 0.45, 0.2]
    there = gain(own, other, [1, 1, 2, 2])
    back = gain(other, own, [1, 1, 2, 2])
    assert back.mean == pytest.approx(-there.mean)
    assert back.low < back.mean < back.high


def test_the_same_pairs_always_give_the_same_interval():
    own, other = np.arange(12) / 12, np.ones(12) / 2
    assert gain(own, other, [1] * 12) == gain(own, other, [1] * 12)


def test_differences_between_strata_do_not_widen_the_interval():
    own, other = [0.1, 0.1, 0.9, 0.9], [0.0] * 4
    apart = gain(own, other, [1, 1, 2, 2])
    together = gain(own, other, [1, 1, 1, 1])
    assert apart.high - apart.low == pytest.approx(0)
    assert together.high - together.low > 0.5


@pytest.mark.parametrize("n_seeds", [4, 16])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(n_seeds):
    draws = np.random.default_rng(0)
    strata = [1, 2, 3, 4] * n_seeds
    hits = 0
    for _ in range(100):
        own = draws.normal(0.1, strata)
        found = gain(own, np.zeros(len(strata)), strata)
        hits += found.low <= 0.1 <= found.high
    assert 0.9 <= hits / 100 <= 0.99


def test_the_mean_of_skewed_differences_is_rarely_taken_for_a_gain():
    """The percentile bootstrap alone takes it for one 9 times in a hundred here."""
    draws, strata, wins = np.random.default_rng(1), [0, 1, 2] * 6, 0
    for _ in range(150):
        own = 1 - draws.chisquare(1, len(strata))
        wins += gain(own, np.zeros(len(strata)), strata).low > 0
    assert wins / 150 <= 0.06


def test_each_stratum_has_its_own_gain_in_ascending_order():
    found = gains_by([0.3, 0.1, 0.5], [0.2, 0.1, 0.1], [1.2, 0.5, 1.2])
    assert list(found) == [0.5, 1.2]
    assert found[1.2].mean == pytest.approx(0.25)


def test_the_interval_holds_where_one_stratum_decides_alone():
    draws = np.random.default_rng(0)
    strata = np.array([1.0, 2.0, 3.0, 4.0] * 6)
    hits = 0
    for _ in range(80):
        own = draws.normal(0.0, np.where(strata == 4.0, 1.0, 0.01))
        found = gain(own, np.zeros(len(strata)), strata)
        hits += found.low <= 0 <= found.high
    assert hits / 80 >= 0.93


def test_the_intervals_of_strata_hold_together():
    draws, strata, hits = np.random.default_rng(0), [1, 2, 3, 4] * 6, 0
    for _ in range(60):
        found = gains_by(draws.normal(0, 1, 24), np.zeros(24), strata).values()
        hits += all(each.low <= 0 <= each.high for each in found)
    assert hits / 60 >= 0.9


def test_students_quantiles_are_those_of_the_tables():
    known = {(1, 0.95): 12.706, (4, 0.95): 2.776, (10, 0.99): 3.169, (5, 0.5): 0.727}
    for (freedom, coverage), quantile in known.items():
        assert student(freedom, coverage) == pytest.approx(quantile, abs=1e-3)


def test_a_single_pair_says_nothing_and_a_lonely_one_is_not_taken_for_sure():
    assert gain([0.9], [0.5], [1])[1:] == (-1.0, 1.0)
    found = gain([0.9, 0.5], [0.5, 0.6], [1, 2])
    assert found.low < 0 < found.high


@pytest.mark.parametrize("other", [[], [0.1, 0.2]])
def test_what_cannot_be_paired_is_refused(other):
    with pytest.raises(ValueError, match="cannot be paired"):
        gain([0.1], other, [1])
