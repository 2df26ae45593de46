"""The law of a closed loop: so many requests in flight, from start to end."""

import numpy as np
import pytest

from evaluators.serving_runs.closed_loop import Loop, looped
from evaluators.sim.engine import simulate
from tests.sim.builders import SIMPLE, Deployment, Scenario
from tests.sim.fuzzed import CLASSES

LOOP = Loop(4, 6, 20, 40, least=0.5, starts_s=1e-11)


def served(loop):
    trace = looped(loop, "a loop")
    where = Deployment("small", 1000, 1, max_running=8, max_step_tokens=64)
    scenario = Scenario("loop", "train", 1.0, trace, where, SIMPLE, CLASSES, "made up")
    return trace, simulate(scenario, None)


@pytest.mark.parametrize("users", [1, 4, 8])
def test_as_many_requests_as_users_are_in_flight_until_somebody_is_through(users):
    loop = LOOP._replace(users=users)
    trace, run = served(loop)
    began = np.sort(run.arrived_ps)[users - 1]
    ends = run.finished_ps.reshape(-1)
    last_rows = np.setdiff1d(np.arange(len(trace)), trace.sessions.after)
    first_through = ends[last_rows].min()
    for at in np.linspace(began, first_through - 1, 50).astype(np.int64):
        in_flight = (run.arrived_ps <= at) & (run.finished_ps > at)
        assert in_flight.sum() == users


def test_every_user_sends_as_many_requests_as_rounds():
    trace = looped(LOOP, "a loop")
    assert len(trace) == LOOP.users * LOOP.rounds
    assert (trace.sessions.after == -1).sum() == LOOP.users
    after = trace.sessions.after[trace.sessions.after >= 0]
    assert len(np.unique(after)) == len(after)


def test_lengths_lie_between_the_least_and_the_named_ones():
    trace = looped(LOOP._replace(users=50), "a loop")
    assert trace.prompt_tokens.min() == 10
    assert trace.prompt_tokens.max() == 20
    assert trace.output_tokens.min() == 20
    assert trace.output_tokens.max() == 40
    equal = looped(LOOP._replace(least=1.0), "a loop")
    assert set(equal.output_tokens.tolist()) == {40}


def test_users_start_within_the_named_time_and_not_in_step():
    trace = looped(LOOP._replace(users=20, starts_s=2.0), "a loop")
    starts = trace.arrived_ps[trace.sessions.after < 0]
    assert len(np.unique(starts)) == 20
    assert starts.max() < 2 * 10**12


def test_equal_arguments_give_equal_loops_and_names_different_ones():
    one, same = looped(LOOP, "a loop"), looped(LOOP, "a loop")
    assert one.output_tokens.tolist() == same.output_tokens.tolist()
    assert one.output_tokens.tolist() != looped(LOOP, "b").output_tokens.tolist()
