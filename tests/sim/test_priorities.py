from dataclasses import replace

import numpy as np
import pytest

from evaluators.sim.alarm import Alarm
from evaluators.sim.engine import simulate
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from evaluators.workloads.prefixes import Priorities
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_scenario


def prioritised(scenario, period_ps, levels):
    priorities = Priorities(period_ps, np.array(levels))
    return replace(scenario, trace=replace(scenario.trace, priorities=priorities))


class HighestFirst:
    def __init__(self):
        self.seen = []

    def admit_key(self, waiting, engine):
        self.seen.append((round(engine.now_s * 1e12), engine.tenants.priority.tolist()))
        return -engine.tenants.priority[waiting.tenant]


def test_an_alarm_rings_at_each_change_and_at_each_wish():
    changes = Priorities(10, np.zeros((3, 1)))
    alarm = Alarm(None, changes)
    heard = [now for now in range(0, 60, 5) if alarm.rings(now)]
    assert heard == [10, 20]
    assert Alarm(None, None).next_ps is None
    alarm = Alarm(8e-12, changes)
    assert [now for now in range(0, 30, 2) if alarm.rings(now)] == [
        0,
        8,
        10,
        16,
        20,
        24,
    ]


def test_a_policy_sees_the_levels_as_they_change_and_is_asked_then():
    requests = [(0, 4, 40), (0, 4, 2), (0, 4, 2)]
    scenario = prioritised(served(requests, max_running=1), 100, [[0], [3], [1]])
    policy = HighestFirst()
    check(scenario, simulate(scenario, policy))
    asked = {now: level for now, (level,) in policy.seen}
    assert set(asked.values()) <= {0, 3, 1}
    assert all(level == [0, 3, 1][min(now // 100, 2)] for now, level in asked.items())


def test_without_priorities_every_level_is_0():
    policy = HighestFirst()
    simulate(served([(0, 4, 4), (0, 4, 2)]), policy)
    assert {level for _, (level,) in policy.seen} == {0}


@pytest.mark.parametrize("seed", range(60))
def test_both_engines_agree_when_priorities_change(seed):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, (int(rng.integers(1, 40)), 3))
    period_ps = int(rng.choice([1, 50, 3000]))
    scenario = prioritised(fuzzed_scenario(seed), period_ps, levels)
    policies = HighestFirst(), HighestFirst()
    fast, plain = (
        simulate(scenario, policies[0]),
        simulate_plainly(scenario, policies[1]),
    )
    check(scenario, fast)
    assert fast.decisions == plain.decisions
    assert (fast.finished_ps == plain.finished_ps).all()
    assert policies[0].seen == policies[1].seen
