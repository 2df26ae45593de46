"""The steps that are noted are those that the simulator takes, and a sample is fair."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.calibration.step_time import StepTime
from evaluators.fleet import Fleet, Member
from evaluators.kernels.schedule import Steps, covers, sampled, steps_of
from evaluators.kernels.step_shape import StepShape
from evaluators.sim.engine import simulate
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_scenario, with_prefixes

SMALL = served([(0, 3, 3), (0, 2, 2)], max_step_tokens=4)


def durations(scenario):
    """Of every step that the fast engine takes, in order."""
    taken = simulate(scenario, None).steps
    rows = zip(taken.first_ps, taken.growth_ps, taken.count, strict=True)
    return [int(first + grows * i) for first, grows, n in rows for i in range(n)]


@pytest.mark.parametrize("seed", range(25))
def test_noted_steps_last_as_long_as_those_of_the_fast_engine(seed):
    scenario = fuzzed_scenario(seed)
    if seed % 3 == 0:
        scenario = with_prefixes(scenario, seed)
    noted = steps_of(scenario, None)
    found = [scenario.step_time.duration_ps(step.batch) for step in noted]
    assert found == durations(scenario)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"fleet": Fleet((Member(SMALL.deployment, SMALL.step_time),))}, "a fleet"),
        ({"deployment": replace(SMALL.deployment, async_scheduling=True)}, "ahead"),
    ],
)
def test_what_is_not_noted_is_refused_with_the_reason(changed, why):
    scenario = replace(SMALL, **changed)
    assert why in covers(scenario)
    with pytest.raises(ValueError, match=why):
        steps_of(scenario, None)
    assert covers(SMALL) is None


def test_a_step_is_noted_request_by_request():
    assert list(steps_of(SMALL, None)) == [
        StepShape(((0, 3), (0, 1)), ()),
        StepShape(((1, 1),), (4,)),
        StepShape((), (5, 3)),
    ]


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=3),
            st.lists(st.integers(1, 9), max_size=3),
        ),
        max_size=6,
    )
)
def test_flat_storage_gives_every_step_back(steps):
    kept = Steps()
    shapes = [StepShape(tuple(chunks), tuple(contexts)) for chunks, contexts in steps]
    for shape in shapes:
        kept.append(shape)
    assert list(kept) == shapes


TIMES = StepTime(tokens_ps=(0, 1))
"""A step lasts as many picoseconds as it has tokens."""


def of_tokens(*tokens):
    return [StepShape(((0, n),), ()) for n in tokens]


def test_a_sample_stands_for_the_time_and_not_for_the_number_of_steps():
    steps = of_tokens(*[1] * 900, *[100] * 9)
    found = sampled(steps, TIMES, 100, seed=1)
    assert sum(index >= 900 for index in found) == pytest.approx(50, abs=1)


def test_the_mean_over_a_sample_is_the_mean_over_the_time():
    tokens = np.random.default_rng(5).integers(1, 1000, 3000)
    found = sampled(of_tokens(*tokens.tolist()), TIMES, 64, seed=2)
    by_time = (tokens**2).sum() / tokens.sum()
    assert tokens[found].mean() == pytest.approx(by_time, rel=0.02)


def test_equal_seeds_draw_equal_steps_and_others_do_not():
    steps = of_tokens(*range(1, 500))
    assert sampled(steps, TIMES, 9, 3) == sampled(steps, TIMES, 9, 3)
    assert sampled(steps, TIMES, 9, 3) != sampled(steps, TIMES, 9, 4)
    assert sampled([], TIMES, 9, 3) == []


def test_steps_are_drawn_from_the_shortest_to_the_longest():
    found = sampled(of_tokens(*range(1, 400)), TIMES, 20, seed=0)
    assert found == sorted(found)
    assert found[-1] > 380
