"""An engine told arrivals one by one does what it does when told all at once."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators.sim.arrivals import Arrivals
from evaluators.sim.engine import simulate
from evaluators.sim.fast import FastEngine
from evaluators.sim.hooks import Policy
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.sim.plain.stepwise import PlainEngine
from evaluators.workloads.prefixes import Sessions
from evaluators.workloads.trace import FOREVER_PS
from tests.sim.fuzzed import fuzzed_policy, fuzzed_scenario
from tests.sim.test_engine import differences, ended


def chopped(engine, scenario, rng):
    """Serve a scenario up to random times, telling each arrival when it comes."""
    arrivals = Arrivals(scenario)
    engine.ledger.rejected.extend(arrivals.rejected)
    for at, row in arrivals.first:
        for until in sorted(rng.integers(0, at + 1, 2).tolist()):
            engine.advance(until)
        engine.advance(at)
        engine.submit(row, at)
    engine.advance(None)
    return engine.result()


@pytest.mark.parametrize("kind", [FastEngine, PlainEngine])
def test_time_may_be_cut_anywhere(kind):
    for seed in range(60):
        scenario, policy = fuzzed_scenario(seed), fuzzed_policy(seed)
        rng = np.random.default_rng(seed)

        def told(scenario, policy, rng=rng):
            return chopped(kind(scenario, Policy(policy)), scenario, rng)

        cut = ended(told, scenario, policy)
        assert differences(cut, ended(simulate, scenario, policy)) == [], seed


@pytest.mark.parametrize("kind", [FastEngine, PlainEngine])
def test_no_request_finishes_before_the_stated_time(kind):
    for seed in range(100):
        scenario = fuzzed_scenario(seed)
        engine = kind(scenario, Policy(None))
        coming = Arrivals(scenario).first[::-1]
        while coming or engine.earliest_finish_ps() is not None:
            bound = engine.earliest_finish_ps() or FOREVER_PS
            if coming and coming[-1][0] <= bound:
                at, row = coming.pop()
                engine.advance(at)
                assert at == bound or not engine.finished, seed
                engine.finished.clear()
                engine.submit(row, at)
                continue
            engine.advance(bound - 1)
            assert not engine.finished, seed
            engine.advance(bound)
            engine.finished.clear()


def in_sessions(seed):
    """A fuzzed scenario in which most requests follow an earlier one."""
    scenario, rng = fuzzed_scenario(seed), np.random.default_rng((seed, 9))
    n = len(scenario.trace)
    after = np.array([
        int(rng.integers(-1, max(row, 1))) if row else -1 for row in range(n)
    ])
    after[rng.random(n) < 0.3] = -1
    waits = rng.integers(0, 3000, n)
    trace = replace(scenario.trace, sessions=Sessions(after, waits, waits % 2))
    return replace(scenario, trace=trace)


def test_sessions_come_when_what_they_follow_has_finished():
    followed = 0
    for seed in range(110):
        scenario, policy = in_sessions(seed), fuzzed_policy(seed)
        run = ended(simulate, scenario, policy)
        assert differences(run, ended(simulate_plainly, scenario, policy)) == [], seed
        if isinstance(run, str):
            continue
        check(scenario, run)
        sessions = scenario.trace.sessions
        for row, after in enumerate(sessions.after.tolist()):
            if after >= 0 and run.arrived_ps[row] >= 0:
                due = run.finished_ps[after] + sessions.wait_ps[row]
                assert run.arrived_ps[row] == due
                followed += 1
    assert followed > 300
