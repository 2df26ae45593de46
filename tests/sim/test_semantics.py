"""The scheduler's rules, each by a case small enough to check by hand.

Both engines are held to each rule. One block holds one token unless a case says so.
"""

import numpy as np
import pytest

from evaluators.sim.engine import simulate
from evaluators.sim.plain.engine import simulate_plainly
from tests.sim.builders import served


def each(run, column):
    """A column of the steps, an entry a step."""
    return np.repeat(getattr(run.steps, column), run.steps.count).tolist()


BOTH = pytest.mark.parametrize("engine", [simulate, simulate_plainly])


@BOTH
def test_a_lone_request_takes_its_prefill_and_a_step_for_each_later_token(engine):
    run = engine(served([(5, 20, 3)]), None)
    assert run.first_token_ps.tolist() == [5 + 30]
    assert run.finished_ps.tolist() == [35 + 11 + 11]
    assert run.longest_gap_ps.tolist() == [11]


@BOTH
def test_a_prompt_over_the_budget_is_computed_in_chunks(engine):
    run = engine(served([(0, 20, 1)], max_step_tokens=8), None)
    assert each(run, "prefill_tokens") == [8, 8, 4]
    assert run.first_token_ps.tolist() == [18 + 18 + 14]


@BOTH
def test_decodes_come_before_the_prefill_that_shares_their_step(engine):
    run = engine(served([(0, 4, 5), (0, 20, 1)], max_step_tokens=8), None)
    assert each(run, "prefill_tokens")[:3] == [8, 7, 7]
    assert each(run, "decodes")[:3] == [0, 1, 1]


@BOTH
def test_admission_stops_at_the_first_that_does_not_fit(engine):
    run = engine(served([(0, 6, 2), (1, 8, 1), (1, 1, 1)], kv_blocks=10), None)
    assert run.admitted_ps[2] == run.admitted_ps[1] >= run.finished_ps[0]


@BOTH
def test_a_prompt_is_admitted_in_parts_without_full_reservation(engine):
    requests = [(0, 6, 3), (1, 12, 1)]
    sizes = {"kv_blocks": 14, "max_step_tokens": 6}
    whole = engine(served(requests, **sizes), None)
    parts = engine(served(requests, **sizes, reserve_full_prompt=False), None)
    assert whole.admitted_ps[1] == whole.finished_ps[0]
    assert parts.admitted_ps[1] < parts.finished_ps[0]


@BOTH
def test_the_last_admitted_is_preempted_and_goes_first_again(engine):
    run = engine(served([(0, 3, 6), (0, 3, 6), (30, 1, 1)], kv_blocks=10), None)
    assert run.preemptions.tolist() == [0, 1, 0]
    assert run.decisions[-1].row == 2
    assert run.stall_ps[1] == run.broken_gaps_ps.sum() > 11


@BOTH
def test_nothing_is_admitted_in_a_step_that_preempted(engine):
    run = engine(served([(0, 4, 8), (0, 4, 8), (1, 1, 1)], kv_blocks=11), None)
    when = [d.at_ps for d in run.decisions if d.kind == "preempt"]
    admitted = [d.at_ps for d in run.decisions if d.kind == "admit"]
    assert when
    assert not set(when) & set(admitted)


@BOTH
def test_a_policy_chooses_the_victim(engine):
    class First:
        def victim_key(self, running, engine):
            return -running.arrived_s

    run = engine(served([(0, 3, 6), (1, 3, 6)], kv_blocks=10), First())
    assert run.preemptions.tolist() == [1, 0]


@BOTH
def test_the_lowest_key_goes_first_and_ties_go_by_arrival(engine):
    class Shortest:
        def admit_key(self, waiting, engine):
            return waiting.prompt_tokens

    requests = [(0, 9, 1), (1, 5, 1), (2, 3, 1), (3, 5, 1)]
    run = engine(served(requests, max_running=1), Shortest())
    assert np.argsort(run.admitted_ps).tolist() == [0, 2, 1, 3]


@BOTH
def test_a_request_held_back_waits_until_nothing_runs(engine):
    class HoldAll:
        holds_back = True

        def admit_key(self, waiting, engine):
            return np.full(len(waiting), np.inf)

    run = engine(served([(0, 4, 3), (0, 4, 3), (0, 4, 3)]), HoldAll())
    assert run.admitted_ps.tolist() == [0, *run.finished_ps.tolist()[:2]]


@BOTH
def test_a_single_request_is_ranked_only_by_a_policy_that_holds_back(engine):
    class Rank:
        def admit_key(self, waiting, engine):
            return np.full(len(waiting), np.inf)

    class Hold(Rank):
        holds_back = True

    requests = [(0, 4, 9), (15, 4, 1)]
    ranked, held = engine(served(requests), Rank()), engine(served(requests), Hold())
    assert ranked.questions == 0
    assert ranked.admitted_ps[1] < ranked.finished_ps[0]
    assert held.questions == 1
    assert held.admitted_ps[1] == held.finished_ps[0]


@BOTH
def test_the_prompt_cap_bounds_each_prompt_but_not_a_lone_one(engine):
    class Cap:
        def prompt_cap(self, engine):
            return 2

    both = engine(served([(0, 4, 1), (0, 4, 1)]), Cap())
    assert each(both, "prefill_tokens") == [4, 4]
    assert each(engine(served([(0, 8, 1)]), Cap()), "prefill_tokens") == [8]


@BOTH
def test_a_token_budget_bounds_the_chunk(engine):
    class Budget:
        def token_budget(self, engine):
            return 5

    run = engine(served([(0, 8, 1)]), Budget())
    assert each(run, "prefill_tokens") == [5, 3]


@BOTH
def test_a_request_larger_than_the_memory_is_rejected(engine):
    run = engine(served([(0, 8, 4), (0, 8, 3)], kv_blocks=10), None)
    assert run.rejected == (0,)
    assert run.finished_ps[0] == -1 < run.finished_ps[1]


@BOTH
def test_an_extra_period_asks_between_events(engine):
    class Timed:
        ask = 50e-12

        def token_budget(self, engine):
            return 64

    class Untimed(Timed):
        ask = "event"

    requests = [(0, 4, 50), (0, 97, 2)]
    timed, untimed = (engine(served(requests), p()) for p in (Timed, Untimed))
    assert timed.questions > untimed.questions


def test_a_plan_grants_pauses_and_preempts():
    class Serial:
        """One request at a time; the shortest preempts the one that runs."""

        def schedule(self, waiting, running, engine):
            prompts = np.concatenate([waiting.prompt_tokens, running.prompt_tokens])
            chosen = np.arange(len(prompts)) == prompts.argmin()
            grants = np.where(chosen, 64, 0)
            n = len(waiting)
            return grants[:n], np.where(grants[n:] > 0, 64, -1)

    run = simulate(served([(0, 9, 9), (15, 3, 4)]), Serial())
    assert run.preemptions.tolist() == [1, 0]
    assert run.finished_ps[1] < run.finished_ps[0]
    assert (run.steps.decodes <= 1).all()
