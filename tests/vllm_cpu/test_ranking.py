"""What is said of two orders, on orders that are known."""

import numpy as np
import pytest

from tests.vllm_cpu import ranking

POLICIES = "abcde"
LEVELS = {("t", policy): float(place) for place, policy in enumerate(POLICIES)}


def repeats(spread: float, seed: int = 0) -> ranking.Repeats:
    rng = np.random.default_rng(seed)
    return {c: level + rng.normal(0.0, spread, 4) for c, level in LEVELS.items()}


def test_the_same_order_has_tau_one_and_its_reverse_minus_one():
    reverse = {cell: -level for cell, level in LEVELS.items()}
    assert ranking.order(ranking.pairs(LEVELS, LEVELS)) == (10, 10)
    assert ranking.order(ranking.pairs(LEVELS, reverse)).tau == -1


def test_one_exchange_of_neighbours_makes_one_pair_wrong():
    swapped = LEVELS | {("t", "a"): 1.0, ("t", "b"): 0.0}
    assert ranking.order(ranking.pairs(LEVELS, swapped)) == (10, 9)


def test_a_tie_of_ours_is_not_right():
    tied = dict.fromkeys(LEVELS, 1.0)
    assert ranking.order(ranking.pairs(LEVELS, tied)).right == 0


def test_policies_of_different_traces_are_not_compared():
    both = LEVELS | {("u", policy): 0.5 for policy in POLICIES}
    assert len(ranking.pairs(both, both)) == 20


def test_noise_is_what_repeats_were_drawn_with():
    found = [ranking.noise(repeats(0.2, seed)) for seed in range(50)]
    assert np.mean(found) == pytest.approx(0.2, rel=0.1)


def test_only_what_differs_by_more_than_the_noise_is_told_apart():
    means = {cell: float(values.mean()) for cell, values in repeats(0.01).items()}
    every = ranking.pairs(means, means)
    assert len(ranking.apart(every, repeats(0.01))) == 10
    assert ranking.apart(every, repeats(20.0)) == []


def test_without_noise_the_interval_is_tau_itself_and_the_engine_predicts_itself():
    quiet = {cell: np.full(3, level) for cell, level in LEVELS.items()}
    assert ranking.interval(quiet, LEVELS) == (1.0, 1.0)
    assert ranking.ceiling(quiet) == 1.0


def test_with_noise_the_interval_is_wide_and_the_engine_contradicts_itself():
    low, high = ranking.interval(repeats(2.0), LEVELS)
    assert high - low > 0.3
    assert ranking.ceiling(repeats(2.0)) < 0.9
