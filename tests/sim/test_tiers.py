import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.host_memory import Tier
from evaluators.sim.host.tiers import Tiers

FAST, SLOW = (
    affine(name, "a test", launch_ps=10, bytes_per_s=rate, status="assumed")
    for name, rate in (("fast", 10**12), ("slow", 10**11))
)
"""A copy takes 10 ps, and 1 or 10 more for each byte."""


def column(*sizes):
    names = ("dram", "cxl", "ssd")[: len(sizes)]
    curves = (FAST, SLOW, SLOW)[: len(sizes)]
    return Tiers([Tier(*each) for each in zip(names, sizes, curves, strict=True)])


def test_an_object_comes_down_and_goes_up_over_each_link():
    tiers = column(100, 100)
    assert tiers.demote("a", 50, 5) == 5 + 60
    assert tiers.where("a") == "dram"
    assert tiers.promote("a", 200) == 200 + 60
    assert tiers.where("a") is None


def test_a_full_tier_moves_its_oldest_down_before_the_new_one_comes():
    tiers = column(100, 100)
    tiers.demote("a", 60, 0)
    tiers.demote("b", 40, 1000)
    assert tiers.demote("c", 50, 2000) == 2000 + 610 + 60
    assert [tiers.where(key) for key in "abc"] == ["cxl", "dram", "dram"]
    assert tiers.promote("a", 5000) == 5000 + 610 + 70


def test_what_moves_down_waits_until_it_is_there():
    tiers = column(100, 100)
    here = tiers.demote("a", 60, 0)
    assert tiers.demote("b", 60, 1) == here + 610 + 70


def test_a_full_column_refuses_and_changes_nothing():
    tiers = column(100, 50)
    assert tiers.demote("a", 100, 0) is not None
    assert tiers.demote("b", 60, 0) is None
    assert tiers.demote("c", 101, 0) is None
    assert tiers.where("a") == "dram"
    assert tiers.keeps_its_laws()


@pytest.mark.parametrize("seed", range(10))
def test_bytes_in_are_bytes_out_and_resident_in_every_tier(seed):
    rng = np.random.default_rng(seed)
    tiers = column(100, 150, 400)
    held, now = set(), 0
    for key in range(300):
        now += int(rng.integers(0, 500))
        if held and rng.random() < 0.4:
            old = held.pop()
            if rng.random() < 0.5:
                assert tiers.promote(old, now) > now
            else:
                tiers.drop(old)
        elif tiers.demote(key, int(rng.integers(1, 60)), now) is not None:
            held.add(key)
        assert tiers.keeps_its_laws()
        assert all(tiers.where(each) for each in held)
    down = {name: moved[0] for name, moved in tiers.moved_bytes().items()}
    assert down["dram"] > down["cxl"] > down["ssd"] > 0
