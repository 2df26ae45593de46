"""Who wins: picked on one half, judged on the other, never on both."""

import json
from dataclasses import replace

import pytest

from adrs.verdict import Contender, Verdict, read


def contender(name, arm, pick, report):
    return Contender(
        id=name,
        arm=arm,
        idea=f"idea of {name}",
        train=0.5,
        pick=(pick,) * 4,
        report=tuple(report),
        bound_ratio=0.9,
    )


def verdict(*contenders):
    return Verdict(contenders, (0.8, 0.8, 1.2, 1.2), "exams", "rlimits", "h100")


SEED = contender("seed", "seed", 0.5, (0.5, 0.5, 0.5, 0.5))


def test_the_winner_is_picked_on_the_half_that_does_not_report():
    lucky = contender("lucky", "evolved", 0.6, (0.9, 0.9, 0.9, 0.9))
    steady = contender("steady", "evolved", 0.7, (0.6, 0.6, 0.6, 0.6))
    found = verdict(SEED, lucky, steady)
    assert found.winner == steady
    assert found.compare(steady, SEED).overall.mean == pytest.approx(0.1)


def test_the_best_of_each_arm_is_found_and_the_earlier_of_equals():
    twin = contender("twin", "seed", 0.5, (0.6, 0.6, 0.6, 0.6))
    tuned = contender("tuned", "tuned", 0.9, (0.6, 0.6, 0.6, 0.6))
    found = verdict(SEED, twin, tuned)
    assert (found.best_seed, found.tuned, found.winner) == (SEED, tuned, None)


def test_better_means_surely_better_in_all_and_nowhere_surely_worse():
    both = contender("both", "evolved", 0.6, (0.6, 0.61, 0.7, 0.72))
    trade = contender("trade", "evolved", 0.6, (0.4, 0.4001, 0.95, 0.94))
    unsure = contender("unsure", "evolved", 0.6, (0.9, 0.4, 0.9, 0.4))
    better = [verdict().compare(c, SEED).is_better for c in (both, trade, unsure)]
    assert better == [True, False, False]


def test_a_loss_at_a_load_counts_once_it_is_surely_more_than_slight():
    slightly = contender("slightly", "evolved", 0.6, (0.4951, 0.4952, 0.7, 0.71))
    more = contender("more", "evolved", 0.6, (0.4901, 0.4902, 0.7, 0.71))
    found = [verdict().compare(each, SEED) for each in (slightly, more)]
    assert [each.by_regime[0.8].high < 0 for each in found] == [True, True]
    assert [each.worse_at for each in found] == [(), (0.8,)]
    assert [each.is_better for each in found] == [found[0].overall.low > 0, False]


def test_a_verdict_survives_the_journal():
    found = verdict(SEED, contender("e", "evolved", 0.6, (0.1, 0.2, 0.3, 0.4)))
    own = replace(found.contenders[1], trained=(0.1, 0.2))
    found = replace(found, contenders=(SEED, own), train_regimes=(0.8, 1.2))
    assert read(json.loads(json.dumps(found.facts()))) == found
