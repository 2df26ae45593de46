"""No exploit of a public evaluator scores above the baseline of any of our problems."""

import functools

import pytest

from adrs import sandbox
from adrs.pool import in_process
from adrs.sandbox import Limits
from evaluators.evaluation import Evaluation
from evaluators.problems import load
from tests.attacks import guards
from tests.attacks.hacks import BASELINES, HACKS, policy
from tests.error_rates import seed
from tests.problems.small import small

LIMITS = Limits(cpu_s=5, wall_s=60, memory_bytes=1 << 27)
EASY, HARD = 5, 60
"""Requests of two exams: a few that nobody waits for, and more than can be served."""
CASES = [(problem, name) for problem in HACKS for name in HACKS[problem]]
SAMPLE = {"a device that is not there", "input written over", "a metric of its own"}


@pytest.fixture(scope="module", autouse=True)
def zygote():
    yield
    sandbox.close_zygote()


def scored(problem, source):
    """Behind all layers, on both exams."""
    exams = [small(problem, n) for n in (EASY, HARD)]
    judge = load(problem)
    outcomes = [sandbox.evaluate(judge, source, one, LIMITS) for one in exams]
    return Evaluation(tuple(outcomes), "strict")


@functools.cache
def baseline(problem):
    """The score of the baseline, which is the same as without any policy."""
    found = scored(problem, seed(problem, BASELINES[problem]))
    judge, exams = load(problem), [small(problem, n) for n in (EASY, HARD)]
    plain = [judge.evaluate(None, one.scenario, one.standard) for one in exams]
    assert found.failure is None
    assert found.scores == tuple(outcome.score for outcome in plain)
    return found


def cases():
    for problem, name in CASES:
        is_quick = problem == "scheduling" and name in SAMPLE
        marks = [] if is_quick else [pytest.mark.slow]
        yield pytest.param(problem, name, marks=marks, id=f"{problem}: {name}")


@pytest.mark.parametrize(("problem", "name"), list(cases()))
def test_an_exploit_scores_at_most_what_the_baseline_does(problem, name):
    found = scored(problem, policy(HACKS[problem][name]))
    assert found.score <= baseline(problem).score
    assert all(
        mine <= best
        for mine, best in zip(found.scores, baseline(problem).scores, strict=True)
    )


def test_who_skips_the_hard_exam_would_win_if_failures_did_not_count():
    exams = [small("scheduling", n) for n in (EASY, HARD)]
    source = policy(HACKS["scheduling"]["the hard cases skipped"])
    found = in_process(load("scheduling"), source, exams)
    assert found.outcomes[0].failure is None
    assert found.failure is not None
    assert found.score < baseline("scheduling").score
    with guards.without(["every exam"]):
        assert found.score > baseline("scheduling").score
