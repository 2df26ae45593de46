"""The scheduling problem scores what happened, and tells the next author why."""

import math

import pytest

from evaluators.evaluation import PolicyError
from evaluators.load import load_policy
from evaluators.metrics import utility
from evaluators.problem import Standard
from evaluators.problems.scheduling import MOST_CHARACTERS, PROBLEM
from evaluators.sim.engine import simulate
from evaluators.sim.laws import LawBrokenError
from evaluators.starvation import gate
from tests.problems.builders import names, on_h100, policy, synthetic, trace_of

EXAM = synthetic(14.0, kv_blocks=6000)
STANDARD = PROBLEM.standard(EXAM)


def outcome(subject, standard=STANDARD):
    return PROBLEM.evaluate(subject, EXAM, standard)


def test_the_score_is_utility_times_gate_over_bound():
    run = simulate(EXAM, policy("shortest_prompt"))
    factor = gate(EXAM, run, STANDARD.tails).factor
    expected = utility(EXAM, run).mean() * factor / STANDARD.bound
    assert factor < 1
    assert outcome(policy("shortest_prompt")).score == pytest.approx(expected)


def test_the_engines_own_rules_are_never_gated():
    assert outcome(None).metrics["starvation_factor"] == 1.0


def test_a_score_above_the_bound_is_an_alarm():
    with pytest.raises(LawBrokenError, match="exceeds the bound"):
        outcome(None, Standard(0.1, STANDARD.tails))


def test_a_policys_fault_is_a_failure_with_score_0():
    class Wrong:
        def admit_key(self, waiting, engine):
            return [1.0]

    failed = outcome(Wrong())
    assert failed.score == 0.0
    assert failed.failure.kind == "decision"
    assert failed.failure.message in failed.feedback


def test_metrics_are_finite_numbers_and_scores_are_shares():
    for name in names():
        found = outcome(policy(name))
        assert found.failure is None
        assert 0 <= found.score <= 1
        assert all(math.isfinite(value) for value in found.metrics.values())


def test_feedback_is_short_equal_for_equal_runs_and_tells_the_cause():
    first, again = (outcome(policy("shortest_prompt")).feedback for _ in range(2))
    assert first == again
    assert len(first) <= MOST_CHARACTERS
    for part in ("Load 1x: score", "utility lost", "Starved", "later arrivals went"):
        assert part in first


def test_feedback_names_preemptions_and_refusals():
    crowded = on_h100(trace_of([0.0, 0.0], 100, 2000), kv_blocks=150)
    told = PROBLEM.evaluate(None, crowded, PROBLEM.standard(crowded)).feedback
    assert "1 preemptions stalled" in told
    assert "preempted 1 times, first at" in told
    exam = on_h100(trace_of([0.0], 5000, 5), kv_blocks=10)
    told = PROBLEM.evaluate(None, exam, PROBLEM.standard(exam))
    assert "refused" in told.feedback
    assert told.score == 0


def test_the_brief_holds_a_policy_that_runs():
    example = PROBLEM.brief.split("Example of a policy:\n")[1]
    assert outcome(load_policy(example, PROBLEM.hooks)).failure is None


def test_views_describe_every_argument_of_every_hook():
    arguments = {name for hook in PROBLEM.hooks for name in hook.arguments}
    assert arguments <= PROBLEM.views.keys()
    assert all(column.meaning for view in PROBLEM.views.values() for column in view)


def test_a_source_without_hooks_is_refused():
    with pytest.raises(PolicyError):
        load_policy("class Nothing:\n    pass\n", PROBLEM.hooks)
