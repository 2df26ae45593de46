"""The compiled core against the plain engine: equal on every request."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.step_time import StepTime
from evaluators.evaluation import PolicyError
from evaluators.sim.compiled.coverage import covers
from evaluators.sim.laws import check
from evaluators.sim.reference import simulate_plainly
from evaluators.sim.run import Run
from evaluators.workloads.prefixes import Sessions
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_scenario
from tests.sim.test_engine import differences

pytest.importorskip("numba")
from evaluators.sim.compiled.serve import serve

SMALL = served([(0, 3, 40), (2, 5, 30)])


def outcome(engine, scenario, *further) -> Run | str:
    try:
        return engine(scenario, *further)
    except PolicyError as error:
        return str(error)


def agrees(scenario, *, room: int = 1 << 16) -> Run | str:
    compiled = outcome(serve, scenario, room)
    plain = outcome(simulate_plainly, scenario, None)
    assert differences(compiled, plain) == [], scenario.name
    if isinstance(compiled, Run):
        check(scenario, compiled)
        for name in ("arrived_ps", "hit_tokens", "rejected", "end_blocks"):
            assert np.array_equal(getattr(compiled, name), getattr(plain, name)), name
    return compiled


@pytest.mark.parametrize("block", range(4))
def test_the_compiled_core_equals_the_plain_engine(block):
    preemptions = skipped = 0
    for seed in range(100 * block, 100 * block + 100):
        run = agrees(fuzzed_scenario(seed))
        preemptions += int(run.preemptions.sum())
        skipped += run.iterations - len(run.steps.count)
    assert preemptions > 100
    assert skipped > 1000


@pytest.mark.slow
def test_the_compiled_core_equals_the_plain_engine_ten_thousand_times():
    for seed in range(10_000, 20_000):
        agrees(fuzzed_scenario(seed))


def test_what_it_writes_down_is_collected_in_parts():
    for seed in range(20):
        agrees(fuzzed_scenario(seed), room=1)


@pytest.mark.parametrize(
    ("tokens", "end"), [(170_000, "20000 steps without"), (25_000, "four times")]
)
def test_an_engine_that_gets_nowhere_is_ended(tokens, end):
    prompt = served([(0, tokens, 1)], max_step_tokens=1, kv_blocks=200_000)
    assert end in agrees(prompt)


def test_only_built_in_rules_of_one_kind_of_engine_are_covered():
    class Ranks:
        def admit_key(self, waiting, engine):
            return waiting.prompt_tokens

    follows = Sessions(np.array([-1, 0]), np.array([0, 5]), np.array([0, 0]))
    trace = replace(SMALL.trace, sessions=follows)
    assert covers(SMALL, None)
    assert covers(SMALL, object())
    assert not covers(SMALL, Ranks())
    assert not covers(replace(SMALL, companions={"eviction": "class A: pass"}), None)
    assert not covers(replace(SMALL, trace=trace), None)


def test_times_that_leave_64_bits_are_refused_not_wrapped():
    too_long = StepTime(tokens_ps=(1 << 62,))
    assert not covers(replace(SMALL, step_time=too_long), None)
    long = replace(SMALL, step_time=StepTime(tokens_ps=(1 << 60,)))
    assert covers(long, None)
    with pytest.raises(OverflowError, match="lasts longer than"):
        serve(long)
