"""A fleet keeps every law, and is the same whichever engine its replicas are."""

import pytest

from evaluators.sim.cluster.engines import fast, plain
from evaluators.sim.cluster.fleet import simulate_fleet
from evaluators.sim.laws import check
from tests.sim.fleets import fuzzed_fleet, fuzzed_router

COLUMNS = (
    "arrived_ps",
    "admitted_ps",
    "first_token_ps",
    "finished_ps",
    "longest_gap_ps",
    "preemptions",
    "stall_ps",
    "hit_tokens",
    "replica",
)


def assert_same(one, other):
    for name in COLUMNS:
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert one.rejected == other.rejected
    assert one.questions == other.questions
    assert sorted(one.broken_gaps_ps) == sorted(other.broken_gaps_ps)
    assert one.iterations == other.iterations
    assert one.end_blocks == other.end_blocks == 0


FLEETS = (0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 40)))


@pytest.mark.parametrize("block", FLEETS)
def test_both_engines_make_the_same_fleet(block):
    for seed in range(block * 25, block * 25 + 25):
        scenario = fuzzed_fleet(seed)
        router = fuzzed_router(seed)() if seed % 3 else None
        runs = [simulate_fleet(scenario, router, make) for make in (fast, plain)]
        assert_same(*runs)
        check(scenario, runs[0])


@pytest.mark.slow
def test_ten_thousand_small_fleets_break_no_law_and_end():
    for seed in range(10_000):
        scenario = fuzzed_fleet(seed)
        router = fuzzed_router(seed)() if seed % 3 else None
        check(scenario, simulate_fleet(scenario, router, fast))
