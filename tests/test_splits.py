"""Splits: every regime at every seed, at the load it names, never shared."""

from itertools import combinations

import numpy as np
import pytest

from evaluators.calibration.step_time import StepTime
from evaluators.scenario import Deployment
from evaluators.splits import FIRST_SEED, Plan, Service, draw_split
from evaluators.workloads.synthetic import build
from evaluators.workloads.trace import COLUMNS

SERVICE = Service(Deployment("small", kv_blocks=2000), StepTime((1,)), "made up")
PLAN = Plan(seeds=3, n_requests=40)


def drawn(split="train", plan=PLAN, capacity_per_s=5.0, secret=b""):
    return draw_split(build(), SERVICE, split, plan, capacity_per_s, secret)


def test_a_split_holds_every_regime_once_before_the_next_seed():
    scenarios = drawn()
    assert [s.regime for s in scenarios] == [0.5, 0.8, 1.0, 1.2] * 3
    assert [s.name for s in scenarios[:5]] == [
        "synthetic/0.5x/seed 0",
        "synthetic/0.8x/seed 1",
        "synthetic/1.0x/seed 2",
        "synthetic/1.2x/seed 3",
        "synthetic/0.5x/seed 4",
    ]


def test_a_regime_is_a_multiple_of_the_capacity():
    for scenario in drawn(capacity_per_s=5.0):
        rate = len(scenario.trace) / scenario.trace.duration_s
        assert rate == pytest.approx(5.0 * scenario.regime)


def test_no_two_scenarios_of_any_split_share_requests():
    splits = ("train", "validation", "held_out")
    traces = [s.trace for split in splits for s in drawn(split)]
    for first, second in combinations(traces, 2):
        assert not np.array_equal(first.prompt_tokens, second.prompt_tokens)


def test_a_scenario_says_all_that_it_was_drawn_for():
    scenario = drawn("validation")[0]
    assert scenario.split == "validation"
    assert scenario.calibration == "made up"
    assert scenario.classes == SERVICE.classes
    assert scenario.prediction_error == build().prediction_error > 0


def test_a_larger_plan_begins_with_the_smaller_one():
    small, large = drawn(), drawn(plan=Plan(seeds=5, n_requests=40))
    for one, other in zip(small, large, strict=False):
        assert one.name == other.name
        assert np.array_equal(one.trace.arrived_ps, other.trace.arrived_ps)


@pytest.mark.parametrize("options", [{"seeds": 0}, {"seeds": 1, "regimes": ()}])
def test_an_empty_plan_is_refused(options):
    with pytest.raises(ValueError, match="is empty"):
        Plan(n_requests=10, **options)


def test_a_regime_without_load_is_refused():
    with pytest.raises(ValueError, match="expected all above 0"):
        Plan(seeds=1, n_requests=10, regimes=(0.0, 1.0))


def columns(scenarios):
    return [getattr(s.trace, name).tolist() for s in scenarios for name in COLUMNS]


@pytest.mark.parametrize("split", ["validation", "held_out"])
def test_only_who_has_the_secret_draws_validation_and_held_out_again(split):
    ours = columns(drawn(split, secret=b"ours"))
    assert columns(drawn(split, secret=b"ours")) == ours
    for other in (b"", b"theirs"):
        for mine, others in zip(ours, columns(drawn(split, secret=other)), strict=True):
            assert mine != others


def test_train_is_public_but_its_ids_are_not():
    ours, theirs = drawn(secret=b"ours"), drawn(secret=b"theirs")
    assert columns(ours) == columns(theirs) == columns(drawn())
    keys = {s.id_key for each in (ours, theirs) for s in each}
    assert len(keys) == 2 * len(ours)
    assert b"ours" not in b"".join(keys)
    assert {s.id_key for s in drawn()} == {b""}


def test_splits_of_one_secret_share_nothing():
    traces = [drawn(split, secret=b"ours") for split in FIRST_SEED]
    prompts = [tuple(s.trace.prompt_tokens) for each in traces for s in each]
    assert len(set(prompts)) == len(prompts)
    assert len({s.id_key for each in traces for s in each}) == len(prompts)


def test_a_scenario_names_its_seed_and_not_what_keys_it():
    (first, *_) = drawn("validation", secret=b"ours")
    assert first.name == "synthetic/0.5x/seed 10000"
    assert repr(first.id_key) not in repr(first)
