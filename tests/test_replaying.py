"""A log of decisions gives the score again, without the policy and for no other log."""

from dataclasses import replace

import numpy as np
import pytest

from adrs import sandbox
from adrs.decisions import Entry, LogError, seal, unseal
from adrs.replaying import replay
from adrs.sandbox import Limits
from evaluators.problems import load
from tests.contracts.test_policies import FILES, name_of
from tests.problems.small import small

LIMITS = Limits(cpu_s=30, wall_s=120, memory_bytes=1 << 28)
QUICK = ("eviction/lru_k", "load_balancing/llumnix", "scheduling/sarathi_dynamic")
FAILING = """
class Failing:
    def __init__(self):
        self.left = 3

    def admit_key(self, waiting, engine):
        self.left -= 1
        return waiting.id * (1.0 if self.left else float('nan'))
"""


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


def judged(problem, source):
    exam = small(problem.name)
    return exam, sandbox.evaluate(problem, source, exam, LIMITS)


def check(path):
    problem = load(path.parent.name)
    exam, outcome = judged(problem, path.read_text())
    again = replay(problem, unseal(outcome.log, outcome.decisions), exam)
    assert replace(again, decisions=outcome.decisions) == outcome


@pytest.mark.parametrize("name", QUICK)
def test_a_seed_is_replayed_to_the_last_bit(name):
    check(next(path for path in FILES if name_of(path) == name))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_seed_is_replayed_to_the_last_bit(path):
    check(path)


def test_a_failure_is_replayed_where_it_happened():
    problem = load("scheduling")
    exam, outcome = judged(problem, FAILING)
    assert outcome.failure.kind == "decision"
    again = replay(problem, unseal(outcome.log), exam)
    assert again.failure == outcome.failure


@pytest.fixture(scope="module")
def logged():
    problem = load("scheduling")
    path = next(path for path in FILES if name_of(path) == "scheduling/shortest_prompt")
    exam, outcome = judged(problem, path.read_text())
    return problem, exam, outcome, unseal(outcome.log)


def test_one_turned_decision_is_another_score_or_none(logged):
    problem, exam, outcome, log = logged
    several = [i for i, e in enumerate(log.entries) if np.ptp(e.answer[0]) > 0]
    at = several[0]
    turned = Entry(log.entries[at].hooks, (-log.entries[at].answer[0],))
    entries = [*log.entries[:at], turned, *log.entries[at + 1 :]]
    forged = seal(replace(log, entries=entries), problem.hooks)
    with pytest.raises(LogError, match="as was recorded"):
        unseal(forged.data, outcome.decisions)
    try:
        again = replay(problem, unseal(forged.data), exam)
    except LogError:
        return
    assert (again.score, again.metrics) != (outcome.score, outcome.metrics)


@pytest.mark.parametrize("change", ["cut", "longer", "other hook"])
def test_a_log_that_is_not_of_this_scenario_is_refused(logged, change):
    problem, exam, _, log = logged
    entries = list(log.entries)
    if change == "cut":
        entries.pop()
    elif change == "longer":
        entries.append(entries[-1])
    else:
        entries[0] = Entry(("victim_key",), entries[0].answer)
    with pytest.raises(LogError):
        replay(problem, replace(log, entries=entries), exam)
