from dataclasses import replace

import numpy as np
import pytest

from evaluators.calibration.copy_curve import affine
from evaluators.evaluation import PolicyError
from evaluators.host_memory import HostMemory, Tier
from evaluators.sim.engine import simulate
from evaluators.sim.host.engine import simulate_with_host
from evaluators.sim.laws import check
from evaluators.sim.plain.engine import simulate_plainly
from tests.sim.builders import served
from tests.sim.fuzzed import fuzzed_plan, fuzzed_policy, fuzzed_scenario

CURVE = affine("made up", "a test", launch_ps=5, bytes_per_s=10**12, status="assumed")
"""A copy takes 5 ps and one more for each byte."""


def with_host(scenario, blocks=1000, **memory):
    host = HostMemory(blocks, memory.pop("block_bytes", 1), CURVE, **memory)
    return replace(scenario, deployment=replace(scenario.deployment, host_memory=host))


def tight(**memory):
    """Two requests that decode until their memory no longer fits."""
    return with_host(served([(0, 4, 9), (0, 4, 9)], kv_blocks=20), **memory)


def checked(scenario, policy=None):
    run = simulate(scenario, policy)
    check(scenario, run)
    return run


class Modes:
    def __init__(self, mode):
        self.mode, self.seen = mode, []

    def preempt_mode(self, running, engine):
        self.seen.append((len(running), running.computed_tokens.tolist()))
        return np.full(len(running), self.mode)


def test_kv_that_moved_to_the_host_is_not_computed_again():
    lost, moved = checked(tight(), Modes(0)), checked(tight(), Modes(1))
    assert lost.preemptions.sum() == moved.preemptions.sum() == 1
    computed = [
        int((r.steps.prefill_tokens * r.steps.count).sum()) for r in (lost, moved)
    ]
    assert computed == [8 + 11, 8]
    assert (moved.copies.swaps, lost.copies.swaps) == (1, 0)
    assert moved.copies.out_bytes == moved.copies.back_bytes == 10


def test_recomputing_everything_is_the_engine_without_host_memory():
    for seed in range(30):
        scenario = fuzzed_scenario(seed)
        run = checked(with_host(scenario), Modes(0))
        plain = simulate_plainly(scenario, None)
        assert (run.finished_ps == plain.finished_ps).all()
        assert run.decisions == plain.decisions


def test_a_victim_is_swapped_unless_the_policy_says_otherwise():
    assert checked(tight()).copies.swaps == 1


def test_the_mode_is_asked_for_the_victims_as_they_were():
    policy = Modes(1)
    checked(tight(), policy)
    assert policy.seen == [(1, [10])]


def test_without_overlap_the_step_lasts_until_the_copies_have_landed():
    run = checked(tight(block_bytes=100))
    assert run.copies.stall_ps.tolist() == [10 * 105, 10 * 105]
    assert run.steps.first_ps.max() >= 10 * 105


def test_with_overlap_a_request_goes_on_once_its_kv_has_landed_and_others_meanwhile():
    scenario = served([(0, 4, 30), (0, 4, 30), (0, 4, 30)], kv_blocks=60)
    stop, flow = (
        checked(with_host(scenario, block_bytes=100, overlaps=o, is_duplex=True))
        for o in (False, True)
    )
    assert stop.preemptions.sum() and flow.preemptions.sum()
    assert flow.copies.stall_ps.sum() < stop.copies.stall_ps.sum()
    assert flow.finished_ps.max() < stop.finished_ps.max()


def test_a_full_host_lets_the_victim_recompute():
    run = checked(tight(blocks=5))
    assert (run.copies.swaps, run.copies.refused) == (0, 1)


def test_a_kept_copy_moves_only_what_is_new():
    requests = [(0, 4, 30), (0, 4, 30), (0, 4, 30)]
    scenario = served(requests, kv_blocks=40)
    moved, kept = (checked(with_host(scenario), Modes(mode)) for mode in (1, 2))
    assert moved.copies.spared_bytes == 0 < kept.copies.spared_bytes
    assert kept.copies.out_bytes < moved.copies.out_bytes


@pytest.mark.parametrize("mode", [-1, 3, 0.5, np.nan])
def test_a_mode_that_is_none_is_the_policys_failure(mode):
    with pytest.raises(PolicyError, match="preempt_mode"):
        simulate(tight(), Modes(mode))


def test_a_plan_says_what_becomes_of_those_it_preempts():
    class Plan:
        ask, grant = "iteration", 0

        def schedule(self, waiting, running, engine):
            grants = np.ones(len(running))
            if self.grant and (running.generated_tokens == 3).any():
                grants[0], self.grant = self.grant, 0
            return np.full(len(waiting), 4), grants

    for grant, swaps in ((-1, 0), (-2, 1), (-3, 1)):
        plan = Plan()
        plan.grant = grant
        run = checked(with_host(served([(0, 4, 9)])), plan)
        assert (run.preemptions[0], run.copies.swaps) == (1, swaps)


def test_a_policy_sees_what_a_waiting_request_has_in_the_host():
    class Witness:
        seen = ()

        def admit_key(self, waiting, engine):
            self.seen = (*self.seen, *waiting.cached_tokens.tolist())
            return waiting.arrived_s

    policy = Witness()
    scenario = served([(0, 4, 30), (0, 4, 30), (0, 4, 30)], kv_blocks=40)
    run = checked(with_host(scenario), policy)
    assert run.copies.swaps
    assert max(policy.seen) > 4


def memory_of(seed):
    rng = np.random.default_rng(seed)
    return {
        "blocks": int(rng.integers(1, 60)),
        "block_bytes": int(rng.integers(1, 50)),
        "group_blocks": int(rng.choice([1, 1, 8])),
        "overlaps": bool(rng.integers(2)),
        "is_duplex": bool(rng.integers(2)),
        "below": (Tier("ssd", int(rng.integers(1, 500)), CURVE),) * (seed % 2),
    }


def moody(base, seed):
    rng = np.random.default_rng((seed, 7))

    def preempt_mode(self, running, engine):
        return rng.integers(0, 3, len(running))

    return type("Moody", (base,), {"preempt_mode": preempt_mode})


def attempted(serve, scenario, policy):
    """The run, its laws checked; None if the policy gets stuck, as fuzzed ones may."""
    try:
        run = serve(scenario, policy)
    except PolicyError as error:
        assert error.failure.kind == "no_progress"
        return None
    check(scenario, run)
    return run


def fuzzed(seed):
    """A scenario with host memory, and a level-1 policy with whims of modes."""
    policy = moody(fuzzed_policy(seed), seed)()
    return with_host(fuzzed_scenario(seed), **memory_of(seed)), policy


@pytest.mark.parametrize("seed", range(0, 100, 10))
def test_no_scenario_policy_or_plan_breaks_a_law(seed):
    for each in range(seed, seed + 10):
        scenario, policy = fuzzed(each)
        attempted(simulate, scenario, policy if each % 3 else fuzzed_plan(each)())


def single_steps(scenario, policy):
    return simulate_with_host(scenario, policy, skips=False)


@pytest.mark.parametrize("seed", range(20, 60, 10))
def test_skipping_equal_steps_changes_nothing(seed):
    for each in range(seed, seed + 10):
        skipped = attempted(simulate_with_host, *fuzzed(each))
        plain = attempted(single_steps, *fuzzed(each))
        if skipped is None or plain is None:
            assert skipped is plain
            continue
        assert skipped.decisions == plain.decisions
        assert (skipped.finished_ps == plain.finished_ps).all()
        assert (skipped.longest_gap_ps == plain.longest_gap_ps).all()
        assert skipped.copies.back_bytes == plain.copies.back_bytes
        assert (skipped.copies.stall_ps == plain.copies.stall_ps).all()


def test_fuzzed_runs_do_swap_refuse_and_spare():
    found = np.zeros(3)
    for seed in range(20, 60):
        run = attempted(simulate, *fuzzed(seed))
        if run:
            found += run.copies.swaps, run.copies.refused, run.copies.spared_bytes
    assert (found > 0).all()
