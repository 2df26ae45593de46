"""A policy that gets nowhere is ended soon, an honest one never."""

import numpy as np
import pytest

from adrs.exams import scenarios, sitting
from adrs.pool import in_process
from adrs.settings import Arguments, settings
from evaluators.evaluation import PolicyError
from evaluators.problem import Exam
from evaluators.sim.engine import simulate
from evaluators.sim.progress import Progress, most_stalls
from tests.problems.builders import SEEDS, names, policy, synthetic

SHARE = 0.05
"""Of the stalls that are allowed, the most that shipped seeds may have."""
EVERY_EXAM = (
    ("scheduling",),
    ("scheduling", "experiment=tight_memory"),
    ("scheduling", "experiment=swap"),
    ("eviction",),
    ("eviction", "experiment=host_cache"),
    ("load_balancing",),
    ("load_balancing", "experiment=migration"),
)


class Planner:
    """Preempts and admits for ever, by what it grants when asked for the nth time."""

    def __init__(self, chunk, keeps):
        self.chunk, self.keeps, self.n = chunk, keeps, 0

    def schedule(self, waiting, running, engine):
        self.n += 1
        grants = np.full(len(running), -1)
        grants[self.keeps(self.n, running)] = self.chunk
        return np.full(len(waiting), self.chunk), grants


LIVELOCKS = {
    "all of a prompt": (10**6, lambda n, running: []),
    "a token of a prompt": (1, lambda n, running: []),
    "every other time": (1, lambda n, running: slice(None) if n % 2 else []),
    "all but the first": (10**6, lambda n, running: running.arrived_s.argsort()[:1]),
}


@pytest.fixture
def stalled(monkeypatch):
    """Calls ``Progress.stall`` as ever, and keeps what it was told in a list."""
    told, stall = [], Progress.stall
    monkeypatch.setattr(
        Progress,
        "stall",
        lambda self, times=1: (told.append(times), stall(self, times)),
    )
    return told


@pytest.mark.parametrize("how", LIVELOCKS)
@pytest.mark.parametrize("n", [30, 60])
def test_a_livelock_ends_once_it_cost_as_many_stalls_as_there_are_chunks(
    how, n, stalled
):
    scenario = synthetic(9.0, n=n)
    with pytest.raises(PolicyError, match="no_progress"):
        simulate(scenario, Planner(*LIVELOCKS[how]))
    chunks = int(scenario.trace.prompt_tokens.sum()) // 64
    assert chunks <= most_stalls(scenario) - 1000 <= chunks + n
    assert most_stalls(scenario) < sum(stalled) <= most_stalls(scenario) + 64


def test_built_in_rules_are_never_ended_for_their_preemptions(monkeypatch):
    monkeypatch.setattr("evaluators.sim.progress.SPARE_STALLS", -(10**6))
    scenario = synthetic(9.0, kv_blocks=800, n=60)
    assert simulate(scenario, None).preemptions.sum() > 0
    with pytest.raises(PolicyError, match="no_progress"):
        simulate(scenario, policy("shortest_prompt"))


def test_serving_one_request_at_a_time_is_slow_and_not_stuck(stalled):
    class OneByOne:
        ask = "iteration"

        def schedule(self, waiting, running, engine):
            n, m = len(waiting), len(running)
            first = np.arange(n) == 0 if m == 0 else np.zeros(n)
            return 512 * first, np.full(m, 512)

    run = simulate(synthetic(9.0, n=20), OneByOne())
    assert (run.finished_ps > 0).all()
    assert not stalled or sum(stalled) < 100


@pytest.mark.parametrize("name", names())
def test_no_seed_comes_near_where_memory_is_tight(name, stalled):
    scenario = synthetic(9.0, kv_blocks=1200, n=60)
    simulate(scenario, policy(name))
    assert sum(stalled) <= SHARE * most_stalls(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("words", EVERY_EXAM, ids=" ".join)
def test_no_seed_comes_near_on_any_exam_of_any_problem(words, stalled, tmp_path):
    typed = settings("evolve", Arguments((), (f"problem={words[0]}", *words[1:])))
    at = sitting(typed, tmp_path / "capacities.json", b"public")
    for scenario in scenarios(at, "train"):
        sat = [Exam(scenario, at.problem.standard(scenario))]
        for path in sorted((SEEDS / words[0]).glob("*.py")):
            stalled.clear()
            evaluation = in_process(at.problem, path.read_text(), sat)
            assert evaluation.outcomes[0].failure is None, path.stem
            most = SHARE * most_stalls(scenario)
            assert sum(stalled) <= most, (path.stem, scenario.name)
