"""The fast engine against the plain one: equal on every request, to the picosecond."""

import time

import numpy as np
import pytest

from evaluators.evaluation import PolicyError
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.sim.run import Run
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_plan, fuzzed_policy, fuzzed_scenario

COLUMNS = (
    "admitted_ps",
    "first_token_ps",
    "finished_ps",
    "longest_gap_ps",
    "preemptions",
    "stall_ps",
)


def outcome(engine, seed: int) -> Run | str:
    return ended(engine, fuzzed_scenario(seed), fuzzed_policy(seed))


def ended(engine, scenario, policy: type) -> Run | str:
    try:
        return engine(scenario, policy())
    except PolicyError as error:
        return str(error)


def differences(fast: Run | str, plain: Run | str) -> list[str]:
    if isinstance(fast, str) or isinstance(plain, str):
        return [] if fast == plain else [f"{fast} / {plain}"]
    same = {
        name: np.array_equal(getattr(fast, name), getattr(plain, name))
        for name in COLUMNS
    }
    same["decisions"] = sorted(fast.decisions) == sorted(plain.decisions)
    same["questions"] = fast.questions == plain.questions
    same["steps"] = fast.iterations == plain.iterations
    same["peak_blocks"] = fast.peak_blocks == plain.peak_blocks
    same["broken_gaps"] = sorted(fast.broken_gaps_ps) == sorted(plain.broken_gaps_ps)
    return [name for name, equal in same.items() if not equal]


@pytest.mark.parametrize("block", range(4))
def test_the_fast_engine_equals_the_plain_one(block):
    preemptions = questions = 0
    for seed in range(60 * block, 60 * block + 60):
        fast = outcome(simulate, seed)
        assert differences(fast, outcome(simulate_plainly, seed)) == [], seed
        if isinstance(fast, Run):
            check(fuzzed_scenario(seed), fast)
            preemptions += int(fast.preemptions.sum())
            questions += fast.questions
    assert preemptions > 60
    assert questions > 500


def test_a_plan_that_skips_equals_one_that_does_not():
    preemptions, skipped = 0, 0
    for seed in range(60):
        scenario, plan = fuzzed_scenario(seed), fuzzed_plan(seed)
        fast = ended(simulate, scenario, plan)
        plain = ended(simulate_plainly, scenario, plan)
        assert differences(fast, plain) == [], seed
        if isinstance(fast, Run):
            check(scenario, fast)
            preemptions += int(fast.preemptions.sum())
            skipped += fast.iterations - len(fast.steps.count)
    assert preemptions > 50
    assert skipped > 300


@pytest.mark.slow
def test_the_fast_engine_equals_the_plain_one_ten_thousand_times():
    wrong = [
        seed
        for seed in range(10_000, 20_000)
        if differences(outcome(simulate, seed), outcome(simulate_plainly, seed))
    ]
    assert wrong == []


def test_the_fast_engine_takes_few_steps_where_little_happens():
    scenario = served([(0, 10, 500), (0, 10, 700), (3, 5, 900)], kv_blocks=3000)
    fast, plain = simulate(scenario, None), simulate_plainly(scenario, None)
    assert len(fast.steps.count) <= 6
    assert fast.iterations == plain.iterations > 800
    assert differences(fast, plain) == []


def test_a_stuck_policy_is_ended():
    class Idle:
        def schedule(self, waiting, running, engine):
            return np.zeros(len(waiting)), np.zeros(len(running))

    started = time.process_time()
    with pytest.raises(PolicyError, match="no_progress"):
        simulate(fuzzed_scenario(5), Idle())
    assert time.process_time() - started < 5


def test_a_policy_that_preempts_for_ever_is_ended():
    class Thrash:
        def schedule(self, waiting, running, engine):
            return np.ones(len(waiting)), -np.ones(len(running))

    with pytest.raises(PolicyError, match="no_progress"):
        simulate(fuzzed_scenario(16), Thrash())
